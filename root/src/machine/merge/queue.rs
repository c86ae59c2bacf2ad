//! Cuts on their way into the store: queued by topic, merged in batches, answered to their leaves.

use crate::machine::documents::{UnsoundCut, check};
use crate::machine::{BatchId, ConnectionId};
use countree_common::cut::{Cut, Outcome};
use countree_common::key::Topic;
use countree_common::limits::{COUNTERS_PER_CUT, CUTS_PER_MERGE, CUTS_QUEUED_PER_ROOT};
use countree_common::stream::StreamId;
use countree_common::wire::uplink::CutOutcome;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

/// Batches that the store works on at a time: enough to keep it busy while answers travel.
pub const BATCHES_IN_FLIGHT: usize = 4;
/// A batch takes no further cut once it has this many counters.
pub const COUNTERS_PER_BATCH: usize = COUNTERS_PER_CUT;
/// Counters of all cuts that wait, at most; above it leaves have to repeat their cuts later. A waiting counter
/// takes some 150 bytes.
pub const COUNTERS_QUEUED: usize = 2 << 20;

/// A cut that waits, and the leaf that gets its answer.
#[derive(Debug)]
struct Waiting {
    connection: ConnectionId,
    cut: Cut,
}

/// Cuts that the store has been asked to merge.
#[derive(Debug)]
struct Batch {
    connections: Vec<ConnectionId>,
    cuts: Arc<[Cut]>,
}

/// A batch that the store has answered.
#[derive(Debug)]
pub struct Answered {
    /// The outcomes for each leaf, by connection.
    pub outcomes: BTreeMap<ConnectionId, Vec<CutOutcome>>,
    /// The cuts, for what is to be published.
    pub cuts: Arc<[Cut]>,
}

/// The queue before the store.
///
/// A topic is in one batch at a time: so its versions come back in order, and no two cuts of one
/// (stream, topic) are ever under way together.
#[derive(Debug, Default)]
pub struct MergeQueue {
    waiting: HashMap<Topic, VecDeque<Waiting>>,
    /// Topics with waiting cuts and none in flight, the longest waiting first.
    ready: VecDeque<Topic>,
    in_flight: BTreeMap<BatchId, Batch>,
    busy: BTreeSet<Topic>,
    queued_cuts: usize,
    queued_counters: usize,
    next_batch: u64,
}

impl MergeQueue {
    /// Cuts that wait.
    pub fn queued(&self) -> usize {
        self.queued_cuts
    }

    /// Batches under way.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Queues a leaf's cut. Gives it back, as an answer, when the queue is full.
    ///
    /// # Errors
    /// When the cut is not sound: its leaf is not to be trusted any further.
    pub fn push(&mut self, connection: ConnectionId, cut: Cut) -> Result<Option<CutOutcome>, UnsoundCut> {
        check(&cut)?;
        if self.queued_cuts >= CUTS_QUEUED_PER_ROOT || self.queued_counters >= COUNTERS_QUEUED {
            return Ok(Some(answer(&cut, None)));
        }
        self.queued_cuts += 1;
        self.queued_counters += cut.sums.len();
        let topic = cut.topic.clone();
        let waiting = self.waiting.entry(topic.clone()).or_default();
        waiting.push_back(Waiting { connection, cut });
        if waiting.len() == 1 && !self.busy.contains(&topic) {
            self.ready.push_back(topic);
        }
        Ok(None)
    }

    /// The next batch, if there is something to merge and room for it. Cuts of connections that are not
    /// `open` any more are dropped: their leaf repeats them elsewhere.
    pub fn next_batch(&mut self, open: impl Fn(ConnectionId) -> bool) -> Option<(BatchId, Arc<[Cut]>)> {
        if self.in_flight.len() >= BATCHES_IN_FLIGHT {
            return None;
        }
        let (mut connections, mut cuts, mut counters) = (Vec::new(), Vec::new(), 0);
        while cuts.len() < CUTS_PER_MERGE && counters < COUNTERS_PER_BATCH {
            let Some(topic) = self.ready.pop_front() else { break };
            let before = cuts.len();
            self.take_topic(&topic, &open, |taken| {
                counters += taken.cut.sums.len();
                connections.push(taken.connection);
                cuts.push(taken.cut);
                cuts.len() < CUTS_PER_MERGE && counters < COUNTERS_PER_BATCH
            });
            if cuts.len() > before {
                self.busy.insert(topic);
            }
        }
        if cuts.is_empty() {
            return None;
        }
        let (batch, cuts) = (BatchId(self.next_batch), Arc::<[Cut]>::from(cuts));
        self.next_batch += 1;
        self.in_flight.insert(batch, Batch { connections, cuts: cuts.clone() });
        Some((batch, cuts))
    }

    /// Gives cuts of a topic to `take`, in order, as long as it wants more and no stream comes twice.
    fn take_topic(
        &mut self,
        topic: &Topic,
        open: &impl Fn(ConnectionId) -> bool,
        mut take: impl FnMut(Waiting) -> bool,
    ) {
        let Some(waiting) = self.waiting.get_mut(topic) else { return };
        let mut streams = BTreeSet::<StreamId>::new();
        let mut wants_more = true;
        while wants_more
            && let Some(first) = waiting.front()
            && !streams.contains(&first.cut.stream)
            && let Some(first) = waiting.pop_front()
        {
            self.queued_cuts -= 1;
            self.queued_counters -= first.cut.sums.len();
            if open(first.connection) {
                streams.insert(first.cut.stream.clone());
                wants_more = take(first);
            }
        }
        if waiting.is_empty() {
            self.waiting.remove(topic);
        }
    }

    /// Takes the store's answers to a batch, one for each cut and in their order; `None` for a cut that
    /// the store may have merged or not.
    pub fn handle_merged(&mut self, batch: BatchId, outcomes: &[Option<Outcome>]) -> Option<Answered> {
        let Batch { connections, cuts } = self.in_flight.remove(&batch)?;
        let mut by_connection = BTreeMap::<_, Vec<_>>::new();
        for (i, (connection, cut)) in connections.iter().zip(cuts.iter()).enumerate() {
            let outcome = outcomes.get(i).cloned().flatten();
            by_connection.entry(*connection).or_default().push(answer(cut, outcome));
            if self.busy.remove(&cut.topic) && self.waiting.contains_key(&cut.topic) {
                self.ready.push_back(cut.topic.clone());
            }
        }
        Some(Answered { outcomes: by_connection, cuts })
    }
}

fn answer(cut: &Cut, outcome: Option<Outcome>) -> CutOutcome {
    CutOutcome { stream: cut.stream.clone(), topic: cut.topic.clone(), from: cut.from, to: cut.to, outcome }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
