//! What a broadcast node decides. No IO, no clock: inputs are the `handle_*` methods, and after each one
//! the outputs are drained with [`Machine::poll_output`].
//!
//! Viewers are sent something in two of them only: [`Machine::handle_tick`], once per tick, and
//! [`Machine::handle_arrivals`], to be called after other inputs, for those who have nothing to show yet.
//! Both ask what room each viewer has at that moment, and only of viewers that there is something for.

mod away;
mod checks;
pub mod complete;
mod conflation;
mod document;
mod encoding;
mod farewell;
mod interest;
mod sources;
mod topics;
mod viewers;

#[cfg(test)]
mod random_tests;
#[cfg(test)]
mod testing;

pub use away::AwayId;
pub use checks::CheckId;
pub use conflation::{CATCH_UP, DatagramRoom, QUIET, Room};
pub use interest::{ASK_AGAIN, LINGER};
pub use topics::{Handle, KEEP_IDLE};
pub use viewers::{Format, Since, ViewerId};

use bytes::Bytes;
use countree_common::cluster::NodeName;
use countree_common::document::Version;
use countree_common::key::Topic;
use countree_common::limits;
use countree_common::time::{Time, WallMs};
use countree_common::wire::publish::ToRoot;
use countree_common::wire::viewer::ToBroadcast;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;

/// Counters of all topics together beyond which no further topic is taken: some 3 GB.
pub const COUNTERS_PER_BROADCAST: usize = 16 << 20;

/// What the shell has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Keep a Publish conversation with this root, at this address and no former one; say when it is
    /// connected and when it is lost.
    Connect {
        /// The root.
        root: NodeName,
        /// Where it speaks QUIC.
        address: SocketAddr,
    },
    /// Let go of this root.
    Disconnect {
        /// The root.
        root: NodeName,
    },
    /// Send this to a connected root.
    ToRoot {
        /// The root.
        root: NodeName,
        /// Interest or the end of it.
        message: ToRoot,
    },
    /// Send this datagram.
    Datagram {
        /// To whom.
        viewer: ViewerId,
        /// At most [`limits::DATAGRAM_BYTES`], and what the viewer had room for.
        bytes: Bytes,
    },
    /// Send these bytes, one after another, on the viewer's stream.
    Stream {
        /// To whom.
        viewer: ViewerId,
        /// Whole frames or whole events.
        chunks: Vec<Bytes>,
    },
    /// Tell the viewer to go elsewhere, and let go of it. It counts as left.
    Dismiss {
        /// Whom.
        viewer: ViewerId,
        /// For people.
        reason: String,
    },
    /// A snapshot event was made that others can be given too, before they subscribe from `version` on.
    Share {
        /// The topic.
        topic: Topic,
        /// Where the snapshot stands.
        version: Version,
        /// Who is away, as it says.
        away: AwayId,
        /// The whole event.
        event: Bytes,
    },
    /// The shared snapshot of this topic is void.
    Unshare {
        /// The topic.
        topic: Topic,
    },
    /// Read the topic from the store, through any root, and bring the answer to [`Machine::handle_checked`].
    Check {
        /// To be brought back with the answer.
        check: CheckId,
        /// The topic.
        topic: Topic,
    },
}

/// What was sent since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// One topic's changes or snapshot, to one viewer.
    pub deliveries: u64,
    /// Datagrams.
    pub datagrams: u64,
    /// Stretches of stream.
    pub streams: u64,
    /// Bytes of both, before QUIC or HTTP.
    pub bytes: u64,
    /// How often a viewer had no room for what had changed.
    pub skips: u64,
    /// Sum over the deliveries of the age of their oldest change, in microseconds.
    pub staleness_us: u64,
    /// The largest of them since [`Machine::take_stats`], in microseconds.
    pub staleness_max_us: u64,
}

/// A broadcast node's state.
#[derive(Debug)]
pub struct Machine {
    topics: topics::Topics,
    /// Looked up, never iterated: its order is not fixed.
    viewers: HashMap<ViewerId, viewers::Viewer>,
    roots: sources::Roots,
    /// The roots that the ring is made of.
    owners: Vec<NodeName>,
    /// Counters of all documents.
    counters: usize,
    /// Topics that changed since the last tick, in the order of the changing.
    changed: Vec<Handle>,
    /// Topics of which a viewer may have lost the last datagram.
    unsettled: BTreeSet<Handle>,
    /// Viewers with dirty topics, in the order in which they are served.
    waiting: Vec<ViewerId>,
    /// Those who are served before the tick.
    arrivals: Vec<ViewerId>,
    checks: checks::Checks,
    packed: conflation::Packed,
    /// What every viewer is told once, since the node is leaving.
    farewell: Option<Bytes>,
    away: away::Away,
    tick: u64,
    stats: Stats,
    outputs: VecDeque<Output>,
}

impl Default for Machine {
    fn default() -> Self {
        Self::new(limits::TOPICS_PER_BROADCAST)
    }
}

impl Machine {
    /// A node that nobody watches yet, and that will hold at most `topics` topics.
    pub fn new(topics: usize) -> Self {
        Self {
            topics: topics::Topics::new(topics),
            viewers: HashMap::new(),
            roots: sources::Roots::default(),
            owners: Vec::new(),
            counters: 0,
            changed: Vec::new(),
            unsettled: BTreeSet::new(),
            waiting: Vec::new(),
            arrivals: Vec::new(),
            checks: checks::Checks::default(),
            packed: conflation::Packed::default(),
            farewell: None,
            away: away::Away::default(),
            tick: 0,
            stats: Stats::default(),
            outputs: VecDeque::new(),
        }
    }

    /// The next thing to do; `None` when everything is done.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// A viewer came. It watches nothing yet.
    pub fn handle_viewer_joined(&mut self, viewer: ViewerId, format: Format) {
        self.viewers.insert(viewer, viewers::Viewer::new(format));
    }

    /// A viewer went.
    pub fn handle_viewer_left(&mut self, viewer: ViewerId, now: Time) {
        let Some(state) = self.viewers.remove(&viewer) else { return };
        for handle in state.handles() {
            self.topics.unwatch(handle, viewer, now);
        }
    }

    /// A viewer over QUIC says something.
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

    /// A viewer wants these topics, and has that of them. It is sent another era, or an earlier version, only once the store
    /// was read anew: what is held here may lag behind what the viewer has seen.
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
            self.arrivals.push(id);
        }
        Ok(())
    }

    /// Begins to hold a topic, in the place of one that nobody watches if there is no other.
    fn hold(&mut self, topic: Topic, now: Time) -> Result<Handle, String> {
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

    /// A viewer wants these topics no more.
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

    /// Notes that a topic's viewers are to be told of a change at the next tick.
    fn changed(&mut self, handle: Handle, now: Time) {
        let Some(topic) = self.topics.get_mut(handle) else { return };
        topic.changed_at = now;
        if !std::mem::replace(&mut topic.changed, true) {
            self.changed.push(handle);
        }
    }

    /// How many viewers there are.
    pub fn viewers(&self) -> usize {
        self.viewers.len()
    }

    /// How many topics are held.
    pub fn topics(&self) -> usize {
        self.topics.len()
    }

    /// How many roots are connected.
    pub fn connected_roots(&self) -> usize {
        self.roots.links.values().filter(|l| l.connected).count()
    }

    /// Where a topic stands, and the time up to which every live leaf's events are in it.
    pub fn standing(&self, topic: &Topic) -> Option<(Version, WallMs)> {
        let state = self.topics.get(self.topics.handle(topic)?)?;
        let version = state.version()?;
        Some((version, self.roots.complete_to(&state.sources, version)))
    }

    /// What was sent; the largest staleness begins anew.
    pub fn take_stats(&mut self) -> Stats {
        let stats = self.stats;
        self.stats.staleness_max_us = 0;
        stats
    }
}

fn too_many() -> String {
    format!("a viewer watches at most {} topics: open another connection", limits::TOPICS_PER_VIEWER)
}
