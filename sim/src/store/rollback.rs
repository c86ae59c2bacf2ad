//! The faults of the store: it goes back in time, is replaced, or loses everything.

use super::earlier::{Documents, SessionEnds};
use super::{ERA_GAP, Store};
use crate::flaws::Flaw;
use crate::random::Random;
use countree_common::era;
use countree_common::key::Topic;
use countree_common::store::{StoreId, StoreRecord};

impl Store {
    /// Another store, which is empty, with a cluster of its own or without any. It holds no earlier states.
    pub(crate) fn other(&mut self, has_cluster: bool) -> Self {
        let mut other = Self::new(self.is_durable, self.flaw);
        other.random_ids = self.random_ids + 1_000;
        if has_cluster {
            let mut record = StoreRecord::new(StoreId(other.random_ids().id));
            record.begin_start(other.random_ids);
            record.authorities = ["theirs".to_owned()].into();
            other.identity = Some(record);
        }
        (other.paused_until, other.is_down) = (self.paused_until, self.is_down);
        // Eras of stores are apart by their clocks.
        other.begin_era(self.eras.current + ERA_GAP / 2);
        other
    }

    /// Makes the store lose everything.
    pub(crate) fn empty(&mut self) {
        self.forgetful.extend(self.documents.keys().cloned());
        self.change_process();
        (self.registry, self.identity) = (None, None);
        self.documents.clear();
        self.session_ends.clear();
        self.earlier.documents = vec![Documents::new()];
        self.earlier.session_ends = vec![SessionEnds::new()];
        self.earlier.registries = vec![None];
        self.earlier.era_records = vec![self.eras.record];
        self.note_eras();
    }

    /// Everything so far is durable.
    pub(crate) fn save(&mut self) {
        self.earlier.documents.drain(..self.earlier.documents.len() - 1);
        self.earlier.session_ends.drain(..self.earlier.session_ends.len() - 1);
        self.earlier.era_records.drain(..self.earlier.era_records.len() - 1);
        self.earlier.registries.drain(..self.earlier.registries.len() - 1);
    }

    /// Rolls all documents back, or one of them (that server has failed over), to some
    /// moment after it was last made durable; returns whether that was anything.
    pub(crate) fn roll_back(&mut self, random: &mut Random) -> bool {
        let Some(to) = random.index(self.earlier.documents.len()) else { return false };
        let mut earlier = self.earlier.documents[to].clone();
        if self.flaw == Some(Flaw::SplitRollback)
            && let Some(other) = random.pick(&self.earlier.documents)
        {
            for (topic, document) in &mut earlier {
                document.streams = other.get(topic).map(|d| d.streams.clone()).unwrap_or_default();
            }
        }
        // Tables of sessions may be on another server, or on this one.
        if random.chance(50) {
            self.session_ends.clone_from(&self.earlier.session_ends[to]);
            self.earlier.session_ends[to..].iter_mut().for_each(|state| state.clone_from(&self.session_ends));
        }
        let before = self.documents.clone();
        let topics: Vec<Topic> = before.keys().cloned().collect();
        let only = random.pick(&topics).cloned().filter(|_| random.chance(50));
        self.change_process();
        // The others keep what they have; states from before the failover hold nothing newer of this one.
        for state in self.earlier.documents[to..].iter_mut().chain([&mut self.documents]) {
            match &only {
                None => state.clone_from(&earlier),
                Some(topic) => {
                    state.remove(topic);
                    state.extend(earlier.get(topic).map(|document| (topic.clone(), document.clone())));
                }
            }
        }
        let changed = before.iter().filter(|(topic, document)| self.documents.get(*topic) != Some(*document));
        self.forgetful.extend(changed.map(|(topic, _)| topic.clone()));
        self.note_eras();
        self.documents != before
    }

    /// An older copy takes the place of all documents. Its clock has stepped back: it begins an era after all that it
    /// knows of, and maybe before some that are known elsewhere.
    pub(crate) fn replace(&mut self, random: &mut Random) -> bool {
        let Some(to) = random.index(self.earlier.documents.len()) else { return false };
        let (earlier, record) = (self.earlier.documents[to].clone(), self.earlier.era_records[to]);
        let changed =
            self.documents.iter().filter(|(topic, document)| earlier.get(*topic) != Some(*document));
        self.forgetful.extend(changed.map(|(topic, _)| topic.clone()));
        self.earlier.documents[to..].iter_mut().for_each(|state| state.clone_from(&earlier));
        self.documents = earlier;
        if self.flaw != Some(Flaw::LastingEra) {
            self.eras.record = record;
            let is_new = |era: &u64| !self.eras.given.contains(era);
            let era = (1..).map(|n| record + n * era::GAP).find(is_new).unwrap_or_default();
            self.begin_era(era);
        }
        true
    }

    /// Rolls the registry back to some moment after it was last made durable.
    pub(crate) fn roll_registry_back(&mut self, random: &mut Random) -> bool {
        let Some(to) = random.index(self.earlier.registries.len()) else { return false };
        self.earlier.registries.truncate(to + 1);
        let earlier = self.earlier.registries[to].clone();
        std::mem::replace(&mut self.registry, earlier) != self.registry
    }
}
