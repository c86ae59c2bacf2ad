//! What a total is kept under: topic, item and kind as one run of bytes, which is compared as such. Comparing names one
//! by one, each checked to be text, took more time than all else that the tree does.

use countree_common::key::{Item, Kind, NameError, Topic};

/// Ends the topic and the item: a byte that no UTF-8 holds.
const END: u8 = 0xff;

/// Keys of one topic's totals, in one buffer.
pub(super) struct TotalKey {
    bytes: Vec<u8>,
    /// What all of them begin with.
    prefix: usize,
}

impl TotalKey {
    pub(super) fn of_topic(topic: &Topic) -> Self {
        let mut bytes = topic.as_str().as_bytes().to_vec();
        bytes.push(END);
        Self { prefix: bytes.len(), bytes }
    }

    /// The key of one counter.
    pub(super) fn of(&mut self, item: &Item, kind: &Kind) -> &[u8] {
        self.bytes.truncate(self.prefix);
        self.bytes.extend_from_slice(item.as_str().as_bytes());
        self.bytes.push(END);
        self.bytes.extend_from_slice(kind.as_str().as_bytes());
        &self.bytes
    }

    /// Where the topic's keys begin: it comes before each of them.
    pub(super) fn first(&self) -> &[u8] {
        self.bytes.get(..self.prefix).unwrap_or_default()
    }

    /// What a key stands for; `None` when it is of another topic.
    pub(super) fn counter(&self, key: &[u8]) -> Option<Result<(Item, Kind), NameError>> {
        let names = key.strip_prefix(self.first())?;
        let end = names.iter().position(|byte| *byte == END).unwrap_or(names.len());
        let (item, kind) = (text(names.get(..end)), text(names.get(end + 1..)));
        Some(Item::new(item).and_then(|item| Ok((item, Kind::new(kind)?))))
    }
}

/// Bytes that are no name become an empty one, which is none either.
fn text(bytes: Option<&[u8]>) -> &str {
    std::str::from_utf8(bytes.unwrap_or_default()).unwrap_or_default()
}

#[cfg(test)]
#[path = "key_tests.rs"]
mod tests;
