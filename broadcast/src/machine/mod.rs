//! The machine of a broadcast node. No IO, no clock: inputs are the `handle_*` methods, and after each one
//! the outputs are drained with [`BroadcastMachine::poll_output`].
//!
//! Two of them send to viewers: [`BroadcastMachine::handle_tick`], once per tick, and
//! [`BroadcastMachine::handle_arrivals`], to be called after other inputs, for viewers that have no totals
//! yet. Both ask for a viewer's room at that moment, and only if there are changes for it.

mod away;
mod checks;
pub mod complete;
mod conflation;
mod delivery;
mod document;
mod encoding;
mod farewell;
mod frame_builder;
mod frames;
mod ids;
mod interest;
mod output;
mod sources;
mod topics;
mod viewers;

#[cfg(test)]
mod random_tests;
#[cfg(test)]
mod testing;

pub use delivery::{CATCH_UP, QUIET};
pub use frame_builder::{DatagramRoom, Room};
pub use ids::{AwayId, CheckId, Format, TopicHandle, ViewerId};
pub use interest::{ASK_AGAIN, LINGER};
pub use output::{Output, Stats};
pub use topics::KEEP_IDLE;
pub use viewers::Since;

use bytes::Bytes;
use countree_common::cluster::NodeName;
use countree_common::document::Version;
use countree_common::key::Topic;
use countree_common::limits;
use countree_common::time::{Time, WallMs};
use countree_common::wire::viewer::ToBroadcast;
use std::collections::{BTreeSet, HashMap, VecDeque};

/// Most counters of all topics together; beyond it no further topic is taken. They take some 3 GB.
pub const COUNTERS_PER_BROADCAST: usize = 16 << 20;

/// Viewers with dirty topics, in the order in which they are served.
#[derive(Debug, Default)]
struct Queues {
    /// Served at the tick.
    waiting: Vec<ViewerId>,
    /// Served before the tick.
    arrivals: Vec<ViewerId>,
}

/// A broadcast node's state.
#[derive(Debug)]
pub struct BroadcastMachine {
    topics: topics::Topics,
    /// Looked up, never iterated: its order is not fixed.
    viewers: HashMap<ViewerId, viewers::Viewer>,
    roots: sources::Roots,
    /// The roots on the ring.
    owners: Vec<NodeName>,
    /// Counters of all documents.
    counters: usize,
    /// Topics that changed since the last tick, in the order of the changing.
    changed: Vec<TopicHandle>,
    /// Topics of which a viewer may have lost the last datagram.
    unsettled: BTreeSet<TopicHandle>,
    queues: Queues,
    checks: checks::Checks,
    packed: frame_builder::Packed,
    /// The message that every viewer is sent once when the node leaves.
    farewell: Option<Bytes>,
    away: away::Away,
    tick: u64,
    stats: Stats,
    outputs: VecDeque<Output>,
}

impl Default for BroadcastMachine {
    fn default() -> Self {
        Self::new(limits::TOPICS_PER_BROADCAST)
    }
}

impl BroadcastMachine {
    /// Makes a node without viewers, which holds at most `topics` topics.
    pub fn new(topics: usize) -> Self {
        Self {
            topics: topics::Topics::new(topics),
            viewers: HashMap::new(),
            roots: sources::Roots::default(),
            owners: Vec::new(),
            counters: 0,
            changed: Vec::new(),
            unsettled: BTreeSet::new(),
            queues: Queues::default(),
            checks: checks::Checks::default(),
            packed: frame_builder::Packed::default(),
            farewell: None,
            away: away::Away::default(),
            tick: 0,
            stats: Stats::default(),
            outputs: VecDeque::new(),
        }
    }

    /// Returns the next instruction; `None` when all are carried out.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Adds a viewer, which watches nothing yet.
    pub fn handle_viewer_joined(&mut self, viewer: ViewerId, format: Format) {
        self.viewers.insert(viewer, viewers::Viewer::new(format));
    }

    /// Removes a viewer.
    pub fn handle_viewer_left(&mut self, viewer: ViewerId, now: Time) {
        let Some(state) = self.viewers.remove(&viewer) else { return };
        for handle in state.handles() {
            self.topics.unwatch(handle, viewer, now);
        }
    }

    /// Handles a message from a viewer over QUIC.
    pub fn handle_viewer(&mut self, viewer: ViewerId, message: ToBroadcast, now: Time) {
        match message {
            ToBroadcast::Subscribe(topics) => self.handle_subscribe(viewer, topics, Since::Nothing, now),
            ToBroadcast::Unsubscribe(topics) => self.handle_unsubscribe(viewer, topics, now),
            ToBroadcast::Resume(topics) => {
                for (topic, version) in topics {
                    self.handle_subscribe(viewer, vec![topic], Since::Held(version), now);
                }
            }
            ToBroadcast::Away => self.tell_away(viewer),
        }
    }

    /// Subscribes a viewer to these topics; `since` is the version that it has of them. It is sent another
    /// era, or an earlier version, only once the store was read anew: the documents here may be behind the
    /// viewer's.
    pub fn handle_subscribe(&mut self, viewer: ViewerId, topics: Vec<Topic>, since: Since, now: Time) {
        for topic in topics {
            if let Err(reason) = self.subscribe(viewer, topic, since, now) {
                self.handle_viewer_left(viewer, now);
                self.outputs.push_back(Output::Dismiss { viewer, reason });
                return;
            }
        }
    }

    fn subscribe(&mut self, id: ViewerId, topic: Topic, since: Since, now: Time) -> Result<(), String> {
        let Some(viewer) = self.viewers.get(&id) else { return Ok(()) };
        let watched = viewer.topics();
        let handle = match self.topics.handle(&topic) {
            Some(handle) => handle,
            None if watched >= limits::TOPICS_PER_VIEWER => return Err(too_many()),
            None => self.hold(topic, now)?,
        };
        let Some(viewer) = self.viewers.get_mut(&id) else { return Ok(()) };
        if viewer.subscribe(handle, since, self.checks.begun(), now) {
            self.topics.watch(handle, id);
        }
        if viewer.topics() > limits::TOPICS_PER_VIEWER {
            return Err(too_many());
        }
        viewer.mark(handle);
        if !std::mem::replace(&mut viewer.in_line, true) {
            self.queues.arrivals.push(id);
        }
        Ok(())
    }

    /// Begins to hold a topic. When there is no room, it replaces the topic that has been idle for longest.
    fn hold(&mut self, topic: Topic, now: Time) -> Result<TopicHandle, String> {
        while self.topics.is_full() || self.counters >= COUNTERS_PER_BROADCAST {
            let Some((_, idle)) = self.topics.longest_idle() else {
                return Err("this node holds as many topics as it can: watch on another".into());
            };
            self.evict(idle);
        }
        let handle = self.topics.insert(topic, now);
        self.assign(handle, now);
        Ok(handle)
    }

    /// Unsubscribes a viewer from these topics.
    pub fn handle_unsubscribe(&mut self, viewer: ViewerId, topics: Vec<Topic>, now: Time) {
        let Some(state) = self.viewers.get_mut(&viewer) else { return };
        for topic in topics {
            if let Some(handle) = self.topics.handle(&topic)
                && state.unsubscribe(handle)
            {
                self.topics.unwatch(handle, viewer, now);
            }
        }
    }

    /// Notes that a topic has changed since the last tick.
    fn changed(&mut self, handle: TopicHandle, now: Time) {
        let Some(topic) = self.topics.get_mut(handle) else { return };
        topic.changed_at = now;
        if !std::mem::replace(&mut topic.changed, true) {
            self.changed.push(handle);
        }
    }

    /// Returns the number of viewers.
    pub fn viewers(&self) -> usize {
        self.viewers.len()
    }

    /// Returns the number of topics that are held.
    pub fn topics(&self) -> usize {
        self.topics.len()
    }

    /// Returns the number of connected roots.
    pub fn connected_roots(&self) -> usize {
        self.roots.states.values().filter(|l| l.connected).count()
    }

    /// Returns a topic's version, and the time up to which every live leaf's events are in it.
    pub fn standing(&self, topic: &Topic) -> Option<(Version, WallMs)> {
        let state = self.topics.get(self.topics.handle(topic)?)?;
        let version = state.version()?;
        Some((version, self.roots.complete_to(&state.sources, version)))
    }

    /// Returns the counts of deliveries; the largest staleness begins anew.
    pub fn take_stats(&mut self) -> Stats {
        let stats = self.stats;
        self.stats.staleness_max_us = 0;
        stats
    }
}

fn too_many() -> String {
    format!("a viewer watches at most {} topics: open another connection", limits::TOPICS_PER_VIEWER)
}
