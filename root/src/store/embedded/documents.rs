//! Merges a cut in a transaction: changes the tables, and what the index knows of them.

use super::blocks::Raised;
use super::failure::failed;
use super::index::{Index, NEAR, Numbers};
use super::layout::{ERAS, HIGHEST_ERA, NAMES, NEXT, NEXT_TOPIC, STREAMS, TOPICS, TOTALS, TURNS, place};
use super::name::pack;
use crate::machine::documents::{Position, Verdict, judge};
use crate::store::StoreError;
use countree_common::cut::{CounterSum, Cut, Outcome};
use countree_common::document::Version;
use redb::{ReadableTable, Table, WriteTransaction};
use std::collections::VecDeque;
use std::slice::Chunks;

/// The topic documents, in a transaction.
pub(super) struct Documents<'t> {
    topics: Table<'t, &'static str, (u64, u64, u64, u32)>,
    turns: Table<'t, u64, &'static str>,
    streams: Table<'t, (&'static str, &'static str), (u64, u64)>,
    names: Table<'t, u64, &'static [u8]>,
    totals: Table<'t, u64, &'static [u8]>,
    next: Table<'t, &'static str, u32>,
    eras: Table<'t, &'static str, u64>,
    served_in: u64,
    index: &'t mut Index,
}

impl<'t> Documents<'t> {
    /// Opens the topic documents as they are served in that era.
    pub(super) fn open(
        transaction: &'t WriteTransaction,
        index: &'t mut Index,
        served_in: u64,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            topics: transaction.open_table(TOPICS).map_err(failed)?,
            turns: transaction.open_table(TURNS).map_err(failed)?,
            streams: transaction.open_table(STREAMS).map_err(failed)?,
            names: transaction.open_table(NAMES).map_err(failed)?,
            totals: transaction.open_table(TOTALS).map_err(failed)?,
            next: transaction.open_table(NEXT).map_err(failed)?,
            eras: transaction.open_table(ERAS).map_err(failed)?,
            served_in,
            index,
        })
    }

    /// Merges a cut. After an error neither transaction nor index are good for anything.
    pub(super) fn merge(&mut self, cut: &Cut) -> Result<Outcome, StoreError> {
        let topic = cut.topic.as_str();
        let stream = cut.stream.to_string();
        let header = self.topics.get(topic).map_err(failed)?.map(|found| found.value());
        let topic_number = match header {
            Some((.., number)) => number,
            None => self.next_number()?,
        };
        let (number, era, turn, _) = header.unwrap_or_default();
        let position = self.streams.get((topic, stream.as_str())).map_err(failed)?.map(|found| found.value());
        let (lsn, events) = position.unwrap_or_default();
        let numbers = self.index.take(&cut.topic, topic_number, &self.names)?;
        let mut raising = Raising::new(cut, numbers, Raised::new(&mut self.totals, topic_number));
        let (version, position) = (Version { era, number }, Position { lsn, events });
        let change = match judge(version, self.served_in, position, cut, |sum| raising.raise(sum))? {
            Verdict::Unchanged(outcome) => {
                self.index.put(cut.topic.clone(), raising.numbers);
                return Ok(outcome);
            }
            Verdict::Changed(change) => change,
        };
        let numbers = raising.write(topic_number, &mut self.names)?;
        // A topic without counters is not listed: it is forgotten, or nothing was ever counted in it.
        let is_listed = numbers.len() > 0;
        self.index.put(cut.topic.clone(), numbers);
        if header.is_none() {
            self.next.insert(NEXT_TOPIC, topic_number + 1).map_err(failed)?;
        }
        let Position { lsn, events } = change.position;
        self.streams.insert((topic, stream.as_str()), (lsn, events)).map_err(failed)?;
        let Version { era, number } = change.version;
        if era > self.served_in {
            raise_era(&mut self.eras, era)?;
        }
        let turn = if is_listed { self.next_turn(topic, header.map(|_| turn))? } else { turn };
        self.topics.insert(topic, (number, era, turn, topic_number)).map_err(failed)?;
        Ok(change.into_outcome(true))
    }

    /// The number of a new topic.
    fn next_number(&self) -> Result<u32, StoreError> {
        let next = self.next.get(NEXT_TOPIC).map_err(failed)?.map_or(0, |next| next.value());
        if next == u32::MAX {
            return Err(StoreError::Failed(
                "the embedded store has had as many topics as it can number".into(),
            ));
        }
        Ok(next)
    }

    /// Puts the topic last in the turns.
    fn next_turn(&mut self, topic: &str, turn: Option<u64>) -> Result<u64, StoreError> {
        if let Some(turn) = turn {
            self.turns.remove(turn).map_err(failed)?;
        }
        let last = self.turns.last().map_err(failed)?.map_or(0, |(turn, _)| turn.value());
        self.turns.insert(last + 1, topic).map_err(failed)?;
        Ok(last + 1)
    }
}

/// Notes an era that no later start may serve in.
pub(super) fn raise_era(eras: &mut Table<'_, &'static str, u64>, era: u64) -> Result<(), StoreError> {
    let highest = eras.get(HIGHEST_ERA).map_err(failed)?.map_or(0, |highest| highest.value());
    if era > highest {
        eras.insert(HIGHEST_ERA, era).map_err(failed)?;
    }
    Ok(())
}

/// The changes of a cut to its topic, until it is certain that it goes in.
struct Raising<'c, 'a, 't> {
    numbers: Numbers,
    raised: Raised<'a, 't>,
    /// Sums whose numbers were not looked for yet.
    rest: Chunks<'c, CounterSum>,
    /// Numbers of the sums that come next.
    found: VecDeque<Option<u32>>,
    /// Counters that are to be, in the order of their numbers. The cut has no counter twice.
    new: Vec<&'c CounterSum>,
}

impl<'c, 'a, 't> Raising<'c, 'a, 't> {
    fn new(cut: &'c Cut, numbers: Numbers, raised: Raised<'a, 't>) -> Self {
        let rest = cut.sums.chunks(NEAR);
        Self { numbers, raised, rest, found: VecDeque::with_capacity(NEAR), new: Vec::new() }
    }

    fn counters(&self) -> u32 {
        self.numbers.len() + self.new.len() as u32
    }

    /// Raises the total of the cut's next sum.
    fn raise(&mut self, sum: &'c CounterSum) -> Result<Option<i64>, StoreError> {
        if self.found.is_empty() {
            let found = &mut self.found;
            self.numbers.find_all(self.rest.next().unwrap_or_default(), |number| found.push_back(number));
        }
        let number = self.found.pop_front().flatten().unwrap_or_else(|| {
            let next = self.counters();
            self.new.push(sum);
            next
        });
        self.raised.raise(number, sum.delta)
    }

    /// Writes the changes: the cut goes in.
    fn write(
        self,
        topic_number: u32,
        names: &mut Table<'t, u64, &'static [u8]>,
    ) -> Result<Numbers, StoreError> {
        let counters = self.counters();
        self.raised.write(counters)?;
        let (mut numbers, mut name) = (self.numbers, Vec::new());
        for sum in self.new {
            name.clear();
            pack(&sum.item, &sum.kind, &mut name);
            names.insert(place(topic_number, numbers.len()), name.as_slice()).map_err(failed)?;
            numbers.push(&name);
        }
        Ok(numbers)
    }
}
