//! The batch frame, the one message whose cost per event matters.
//!
//! Names travel once per connection: each name that a batch defines takes the connection's next id (0, 1,
//! 2 …), and events refer to ids. All integers are little-endian.
//!
//! ```text
//! seq u64 | flags u8 (1: forget all names first) | names u32 | name bytes u32 | events u32 | names… | words…
//! name:  topic length u8 | item length u8 | kind length u8 | topic | item | kind
//! event: one u32, id << 2 | code, and for code 2 and 3 the delta behind it
//!        code 0: +1   code 1: −1   code 2: an i32   code 3: an i64
//! ```

mod error;

use crate::delta::Delta;
use crate::key::{Counter, CounterName};
use crate::limits;
use crate::session::Seq;

pub use error::BatchError;

const HEADER_BYTES: usize = 21;
const FLAG_RESET_NAMES: u8 = 1;

const PLUS_ONE: u32 = 0;
const MINUS_ONE: u32 = 1;
const SMALL: u32 = 2;
const LARGE: u32 = 3;

/// A received batch; its parts borrow from the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchView<'a> {
    /// The batch's number in its session.
    pub seq: Seq,
    /// Whether ids start again from 0.
    pub reset_names: bool,
    /// Number of names that it defines.
    pub name_count: u32,
    /// The names, encoded.
    pub names: &'a [u8],
    /// Number of events.
    pub event_count: u32,
    /// The events, encoded.
    pub words: &'a [u8],
}

impl<'a> BatchView<'a> {
    /// Splits the frame's body into its parts, without checking names and events.
    ///
    /// # Errors
    /// When the parts don't fill the body exactly.
    pub fn parse(body: &'a [u8]) -> Result<Self, BatchError> {
        let (header, rest) =
            body.split_first_chunk::<HEADER_BYTES>().ok_or(BatchError::Malformed("it is too short"))?;
        let word =
            |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let seq = u64::from(word(0)) | u64::from(word(4)) << 32;
        let (name_count, name_bytes, event_count) = (word(9), word(13) as usize, word(17));
        if header[8] & !FLAG_RESET_NAMES != 0 {
            return Err(BatchError::Malformed("it has flags that are not known here"));
        }
        if rest.len() < name_bytes || !(rest.len() - name_bytes).is_multiple_of(4) {
            return Err(BatchError::Malformed("its lengths do not add up"));
        }
        if event_count == 0 || event_count as usize > limits::BATCH_EVENTS {
            return Err(BatchError::EventCount(event_count));
        }
        let (names, words) = rest.split_at(name_bytes);
        let reset_names = header[8] & FLAG_RESET_NAMES != 0;
        Ok(Self { seq, reset_names, name_count, names, event_count, words })
    }

    /// Decodes the names that it defines, in the order of their ids.
    ///
    /// # Errors
    /// When a name is bad, or the names don't fill their part exactly.
    pub fn counters(&self) -> Result<Vec<Counter>, BatchError> {
        Ok(self.counter_names()?.into_iter().map(Counter::from).collect())
    }

    /// [`BatchView::counters`], borrowed from the frame.
    ///
    /// # Errors
    /// As [`BatchView::counters`].
    pub fn counter_names(&self) -> Result<Vec<CounterName<'a>>, BatchError> {
        let mut counters = Vec::with_capacity((self.name_count as usize).min(self.names.len() / 6));
        let mut names = Names(self.names);
        for index in 0..self.name_count {
            let (topic, item, kind) = names.next().ok_or(BatchError::Malformed("its names are cut off"))?;
            let counter = CounterName::from_utf8(topic, item, kind);
            counters.push(counter.map_err(|error| BatchError::Name { index, error })?);
        }
        if names.0.is_empty() {
            Ok(counters)
        } else {
            Err(BatchError::Malformed("its names have bytes left over"))
        }
    }

    /// Checks every event against a dictionary of `defined` names, before any is counted. Returns Σ|δ|,
    /// saturating, which bounds what any counter gains.
    ///
    /// # Errors
    /// When an event is bad.
    pub fn check_events(&self, defined: usize) -> Result<u64, BatchError> {
        let mut events = Events::new(self.words);
        let mut volume = 0u64;
        for index in 0..self.event_count {
            let (id, delta) = events.next().ok_or(BatchError::Malformed("its events are cut off"))?;
            if id as usize >= defined {
                return Err(BatchError::UnknownName { index, id, defined });
            }
            Delta::new(delta).map_err(|error| BatchError::Delta { index, error })?;
            volume = volume.saturating_add(delta.unsigned_abs());
        }
        if events.is_done() {
            Ok(volume)
        } else {
            Err(BatchError::Malformed("it has more events than it says"))
        }
    }
}

/// Walks encoded names; `None` at the end or where they are cut off.
#[derive(Debug)]
pub struct Names<'a>(&'a [u8]);

impl<'a> Names<'a> {
    /// Iterates over a batch's name part.
    pub fn new(names: &'a [u8]) -> Self {
        Self(names)
    }
}

impl<'a> Iterator for Names<'a> {
    type Item = (&'a [u8], &'a [u8], &'a [u8]);
    fn next(&mut self) -> Option<Self::Item> {
        let (&[topic, item, kind], rest) = self.0.split_first_chunk::<3>()?;
        let (topic, rest) = rest.split_at_checked(topic as usize)?;
        let (item, rest) = rest.split_at_checked(item as usize)?;
        let (kind, rest) = rest.split_at_checked(kind as usize)?;
        self.0 = rest;
        Some((topic, item, kind))
    }
}

/// Walks encoded events as (id, delta); stops at the end or where they are cut off.
#[derive(Debug)]
pub struct Events<'a> {
    words: std::slice::ChunksExact<'a, u8>,
}

impl<'a> Events<'a> {
    /// Iterates over a batch's event part.
    pub fn new(words: &'a [u8]) -> Self {
        Self { words: words.chunks_exact(4) }
    }

    fn word(&mut self) -> Option<u32> {
        let word = self.words.next()?;
        Some(u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
    }

    fn is_done(&self) -> bool {
        self.words.len() == 0
    }
}

impl Iterator for Events<'_> {
    type Item = (u32, i64);
    #[inline]
    fn next(&mut self) -> Option<(u32, i64)> {
        let word = self.word()?;
        let delta = match word & 3 {
            PLUS_ONE => 1,
            MINUS_ONE => -1,
            SMALL => i64::from(self.word()?.cast_signed()),
            _ => {
                let low = u64::from(self.word()?);
                (low | u64::from(self.word()?) << 32).cast_signed()
            }
        };
        Some((word >> 2, delta))
    }
}

/// Yields the ids of encoded events, and deltas among them as if they were ids: good enough for a prefetch.
pub fn likely_ids(words: &[u8]) -> impl Iterator<Item = u32> {
    words.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word) >> 2)
}

/// Appends one name in the form of [`Names`].
pub fn put_name<'a>(counter: impl Into<CounterName<'a>>, out: &mut Vec<u8>) {
    let counter = counter.into();
    let names = [counter.topic, counter.item, counter.kind];
    // Names are at most 128 bytes by construction.
    out.extend(names.map(|n| n.len() as u8));
    names.iter().for_each(|n| out.extend_from_slice(n.as_bytes()));
}

/// Appends one event in the form of [`Events`].
pub fn put_event(id: u32, delta: i64, out: &mut Vec<u8>) {
    let put = |out: &mut Vec<u8>, word: u32| out.extend_from_slice(&word.to_le_bytes());
    match (delta, i32::try_from(delta)) {
        (1, _) => put(out, id << 2 | PLUS_ONE),
        (-1, _) => put(out, id << 2 | MINUS_ONE),
        (_, Ok(small)) => {
            put(out, id << 2 | SMALL);
            put(out, small.cast_unsigned());
        }
        _ => {
            put(out, id << 2 | LARGE);
            out.extend_from_slice(&delta.to_le_bytes());
        }
    }
}

/// Appends events in the form of [`Events`], with ids translated by `translate`. Incomplete ones stay
/// incomplete.
pub fn put_translated(words: &[u8], translate: impl Fn(u32) -> u32, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(words);
    let mut words = out[start..].chunks_exact_mut(4);
    while let Some(word) = words.next() {
        let old = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
        word.copy_from_slice(&(translate(old >> 2) << 2 | old & 3).to_le_bytes());
        match old & 3 {
            SMALL => drop(words.next()),
            LARGE => drop(words.nth(1)),
            _ => {}
        }
    }
}

/// Builds a batch's body.
#[derive(Debug, Default)]
pub struct BatchBuilder {
    reset_names: bool,
    name_count: u32,
    names: Vec<u8>,
    event_count: u32,
    words: Vec<u8>,
}

impl BatchBuilder {
    /// Restarts ids from 0 with this batch's first name.
    pub fn reset_names(&mut self) {
        self.reset_names = true;
    }

    /// Defines the next name.
    pub fn name<'a>(&mut self, counter: impl Into<CounterName<'a>>) {
        put_name(counter, &mut self.names);
        self.name_count += 1;
    }

    /// Adds an event for a name that this batch or an earlier one on the connection defines.
    pub fn event(&mut self, id: u32, delta: Delta) {
        put_event(id, delta.get(), &mut self.words);
        self.event_count += 1;
    }

    /// Returns the length of the body so far, in bytes.
    pub fn bytes(&self) -> usize {
        HEADER_BYTES + self.names.len() + self.words.len()
    }

    /// Returns the number of events so far.
    pub fn events(&self) -> u32 {
        self.event_count
    }

    /// Returns the body, with the batch's number.
    pub fn build(self, seq: Seq) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.bytes());
        body.extend_from_slice(&seq.to_le_bytes());
        body.push(if self.reset_names { FLAG_RESET_NAMES } else { 0 });
        body.extend_from_slice(&self.name_count.to_le_bytes());
        body.extend_from_slice(&(self.names.len() as u32).to_le_bytes());
        body.extend_from_slice(&self.event_count.to_le_bytes());
        body.extend_from_slice(&self.names);
        body.extend_from_slice(&self.words);
        body
    }
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
