//! Reads events back out of a log, with their names.

use super::record::{Fields, Record};
use super::segment::LogError;
use countree_common::key::{Counter, Item, Kind, Topic};
use countree_common::stream::Lsn;
use countree_common::wire::batch::{Events, Names};
use hashbrown::HashMap;

/// A topic's number in one replay, from 0 on.
pub type TopicNumber = usize;

/// A counter that events were read of.
#[derive(Debug)]
pub struct KnownCounter {
    /// Its name.
    pub counter: Counter,
    /// Its topic's number, so that nobody has to look for the topic with each event.
    pub topic: TopicNumber,
}

/// The names that the records of one segment have defined so far.
#[derive(Debug, Default)]
pub struct Replay {
    names: HashMap<u32, KnownCounter>,
    topics: HashMap<Topic, TopicNumber>,
}

impl Replay {
    /// Forgets all names: a new segment begins, and defines what it uses.
    pub fn begin_segment(&mut self) {
        self.names.clear();
    }

    /// Hands each event of a record to `visit`; takes up the names that it defines.
    ///
    /// # Errors
    /// When the record refers to what was not defined, or is not of its form.
    pub fn events(
        &mut self,
        lsn: Lsn,
        record: &Record<'_>,
        mut visit: impl FnMut(&KnownCounter, i64),
    ) -> Result<(), LogError> {
        let bad = |what| LogError::Inconsistent { lsn, what };
        match record {
            Record::Batch { definitions, words, .. } => {
                self.define(definitions).ok_or(bad("its names are malformed"))?;
                for (id, delta) in Events::new(words) {
                    let name = self.names.get(&id);
                    visit(name.ok_or(bad("an event's name is not defined in this segment"))?, delta);
                }
                Ok(())
            }
            Record::Submission(submission) => {
                let names: Option<Vec<_>> =
                    Names::new(submission.names).map(|parts| self.know(parts)).collect();
                let names = names.ok_or(bad("its names are malformed"))?;
                for (id, delta) in Events::new(submission.words) {
                    visit(names.get(id as usize).ok_or(bad("an event's name is not in its record"))?, delta);
                }
                Ok(())
            }
            Record::Checkpoint(_)
            | Record::Keys(_)
            | Record::Open { .. }
            | Record::Seal
            | Record::Inherited(_)
            | Record::Noted { .. }
            | Record::Retired(_) => Ok(()),
        }
    }

    fn define(&mut self, definitions: &[u8]) -> Option<()> {
        let mut rest = definitions;
        while !rest.is_empty() {
            let mut fields = Fields(rest);
            let id = fields.u32()?;
            let mut name = Names::new(fields.0);
            let parts = name.next()?;
            let known = self.know(parts)?;
            self.names.insert(id, known);
            rest = fields.0.get(3 + parts.0.len() + parts.1.len() + parts.2.len()..)?;
        }
        Some(())
    }

    fn know(&mut self, (topic, item, kind): (&[u8], &[u8], &[u8])) -> Option<KnownCounter> {
        let (topic, item, kind) = (Topic::from_utf8(topic), Item::from_utf8(item), Kind::from_utf8(kind));
        let counter = Counter { topic: topic.ok()?, item: item.ok()?, kind: kind.ok()? };
        let next = self.topics.len();
        let topic = *self.topics.entry(counter.topic.clone()).or_insert(next);
        Some(KnownCounter { counter, topic })
    }
}
