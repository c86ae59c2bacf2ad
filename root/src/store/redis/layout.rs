//! The form of a topic document in Redis. Other programs read it with `HGETALL`, so it is documented and stable:
//!
//! `countree:CLUSTER:topic:TOPIC` is a hash with the fields `version`, `era`, `leaf:STREAM` = `LSN EVENTS`, and
//! `total:KIND:ITEM` = the total; a field `redo` is there while a large merge is written. In KIND `%` and `:` are
//! written `%25` and `%3A`; ITEM is as it is. A topic that was forgotten has a field `forgotten` = the events that are
//! in no total any more; as long as nothing was counted in it since, it has no totals.
//!
//! Beside the topics there are `countree:CLUSTER:identity`, `:registry`, `:recent`, `:servers`, `:copy` and
//! `:sessions:LEAF`, which are Countree's own.

use crate::machine::documents::{Document, Position, served};
use crate::store::StoreError;
use countree_common::cluster::NodeName;
use countree_common::document::{CounterTotal, Snapshot, Version};
use countree_common::key::{Item, Kind, Topic};
use countree_common::stream::StreamId;

/// The keys of one cluster.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    pub(super) fn of(cluster: &NodeName) -> Self {
        Self { prefix: format!("countree:{cluster}:") }
    }

    /// A topic's document.
    pub(super) fn topic(&self, topic: &Topic) -> String {
        format!("{}{topic}", self.topics())
    }

    /// The prefix of the keys of all topic documents.
    pub(super) fn topics(&self) -> String {
        format!("{}topic:", self.prefix)
    }

    /// The registry.
    pub(super) fn registry(&self) -> String {
        format!("{}registry", self.prefix)
    }

    /// The store's identity.
    pub(super) fn identity(&self) -> String {
        format!("{}identity", self.prefix)
    }

    /// The proof of identity on one shard of a Redis Cluster.
    pub(super) fn shard(&self, tag: &str) -> String {
        format!("{}identity:{{{tag}}}", self.prefix)
    }

    /// The last batches of the sessions of a leaf that has left.
    pub(super) fn sessions(&self, leaf: &NodeName) -> String {
        format!("{}{leaf}", self.sessions_prefix())
    }

    /// The prefix of the keys of all session tables.
    pub(super) fn sessions_prefix(&self) -> String {
        format!("{}sessions:", self.prefix)
    }

    /// There while a copy into this store is under way.
    pub(super) fn copy(&self) -> String {
        format!("{}copy", self.prefix)
    }

    /// The eras of server processes.
    pub(super) fn servers(&self) -> String {
        format!("{}servers", self.prefix)
    }

    /// The topics that were merged last, a sorted set by time.
    pub(super) fn recent(&self) -> String {
        format!("{}recent", self.prefix)
    }
}

/// The field of a leaf stream's position.
pub(super) fn stream_field(stream: &StreamId) -> String {
    format!("leaf:{stream}")
}

/// The field of a counter's total.
pub(super) fn total_field(item: &Item, kind: &Kind) -> String {
    let kind = kind.as_str();
    if kind.contains(['%', ':']) {
        format!("total:{}:{item}", kind.replace('%', "%25").replace(':', "%3A"))
    } else {
        format!("total:{kind}:{item}")
    }
}

/// The position in such a field.
pub(super) fn position(value: &str) -> Option<Position> {
    let (lsn, events) = value.split_once(' ')?;
    Some(Position { lsn: lsn.parse().ok()?, events: events.parse().ok()? })
}

/// A field of a document and its value.
enum Field<'a> {
    Number(u64),
    Forgotten(u64),
    Era(u64),
    Total(CounterTotal),
    /// A position: the stream, and the position's text.
    Stream(&'a str, &'a str),
    /// A field of another program.
    Other,
}

fn damaged(topic: &Topic, field: &str, value: &str) -> StoreError {
    StoreError::Damaged(format!("the field {field} of topic {topic} is '{}'", value.escape_debug()))
}

impl<'a> Field<'a> {
    fn parse(topic: &Topic, field: &'a str, value: &'a str) -> Result<Self, StoreError> {
        let damaged = || damaged(topic, field, value);
        let number = || value.parse().map_err(|_| damaged());
        Ok(match field.split_once(':') {
            None if field == "version" => Self::Number(number()?),
            None if field == "era" => Self::Era(number()?),
            None if field == "forgotten" => Self::Forgotten(number()?),
            Some(("total", counter)) => {
                let (item, kind) = counter_of(counter).ok_or_else(damaged)?;
                Self::Total(CounterTotal { item, kind, total: value.parse().map_err(|_| damaged())? })
            }
            Some(("leaf", stream)) => Self::Stream(stream, value),
            _ => Self::Other,
        })
    }
}

/// The document that these fields are, as viewers get it, served in that era.
pub(super) fn snapshot(
    topic: &Topic,
    fields: Vec<(String, String)>,
    served_in: u64,
) -> Result<Snapshot, StoreError> {
    let mut version = Version::default();
    let mut totals = Vec::with_capacity(fields.len());
    for (field, value) in &fields {
        match Field::parse(topic, field, value)? {
            Field::Number(number) => version.number = number,
            Field::Era(era) => version.era = era,
            Field::Total(total) => totals.push(total),
            Field::Stream(..) | Field::Forgotten(_) | Field::Other => {}
        }
    }
    // A hash has no order of its own.
    totals.sort_unstable_by(|a, b| (&a.item, &a.kind).cmp(&(&b.item, &b.kind)));
    Ok(Snapshot { topic: topic.clone(), version: served(version, served_in), totals })
}

/// Puts these fields into a document.
pub(super) fn gather(
    topic: &Topic,
    fields: &[(String, String)],
    document: &mut Document,
) -> Result<(), StoreError> {
    for (field, value) in fields {
        match Field::parse(topic, field, value)? {
            Field::Number(number) => document.version.number = number,
            Field::Era(era) => document.version.era = era,
            Field::Forgotten(events) => document.forgotten = events,
            Field::Total(CounterTotal { item, kind, total }) => {
                document.totals.insert((item, kind), total);
            }
            Field::Stream(stream, at) => {
                let damaged = || damaged(topic, field, value);
                let stream = stream.parse().map_err(|_| damaged())?;
                document.streams.insert(stream, position(at).ok_or_else(damaged)?);
            }
            Field::Other => {}
        }
    }
    Ok(())
}

fn counter_of(field: &str) -> Option<(Item, Kind)> {
    let (kind, item) = field.split_once(':')?;
    let kind = kind.replace("%3A", ":").replace("%25", "%");
    Some((Item::new(item).ok()?, Kind::new(&kind).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_has_a_field_of_its_own_and_comes_back_from_it() {
        let kinds = ["like", "a:b", "a%3Ab", "%", ":", "%25", "a%253A"];
        let items = ["x", ":", "b:x", "%3A", "\n", "naïve ☃", "total:like:x"];
        let mut seen = std::collections::BTreeSet::new();
        for (kind, item) in kinds.iter().flat_map(|kind| items.iter().map(move |item| (kind, item))) {
            let (kind, item) = (Kind::new(kind).unwrap(), Item::new(item).unwrap());
            let field = total_field(&item, &kind);
            assert_eq!(counter_of(field.strip_prefix("total:").unwrap()), Some((item, kind)));
            assert!(seen.insert(field));
        }
    }
}
