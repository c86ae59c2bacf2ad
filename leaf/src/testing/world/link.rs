//! The leaf's connection to its root, with the cuts and answers on it.

use countree_common::cut::{Cut, Outcome};
use countree_common::key::Topic;
use countree_common::stream::StreamId;
use countree_common::wire::uplink::CutOutcome;
use std::collections::{BTreeMap, VecDeque};

pub(super) struct RootLink {
    pub(super) to_root: VecDeque<Cut>,
    pub(super) to_leaf: VecDeque<CutOutcome>,
    pub(super) is_connected: bool,
    /// The cut of each topic that the leaf has no answer to.
    under_way: BTreeMap<(StreamId, Topic), Cut>,
}

impl RootLink {
    pub(super) fn connected() -> Self {
        let (to_root, to_leaf, under_way) = Default::default();
        Self { to_root, to_leaf, is_connected: true, under_way }
    }

    /// Whatever is on the way is lost.
    pub(super) fn lose(&mut self) {
        self.to_root.clear();
        self.to_leaf.clear();
    }

    /// The leaf has started again.
    pub(super) fn restart(&mut self) {
        self.lose();
        self.under_way.clear();
        self.is_connected = false;
    }

    /// The leaf sends a cut: one of a topic at a time, and repeats verbatim.
    pub(super) fn send(&mut self, cut: Cut) {
        let key = (cut.stream.clone(), cut.topic.clone());
        let under_way = self.under_way.entry(key).or_insert_with(|| cut.clone());
        assert_eq!(*under_way, cut, "one at a time, repeated verbatim");
        self.to_root.push_back(cut);
    }

    /// The root answers a cut.
    pub(super) fn answer(&mut self, cut: &Cut, outcome: Option<Outcome>) {
        let Cut { stream, topic, from, to, .. } = cut.clone();
        self.to_leaf.push_back(CutOutcome { stream, topic, from, to, outcome });
    }

    /// The next answer that reaches the leaf.
    pub(super) fn next_answer(&mut self) -> Option<CutOutcome> {
        let answer = self.to_leaf.pop_front()?;
        let key = (answer.stream.clone(), answer.topic.clone());
        let is_it = |cut: &Cut| (cut.from, cut.to) == (answer.from, answer.to);
        if answer.outcome.is_some() && self.under_way.get(&key).is_some_and(is_it) {
            self.under_way.remove(&key);
        }
        Some(answer)
    }
}
