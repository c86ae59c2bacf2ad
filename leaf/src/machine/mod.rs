//! The leaf as a pure machine: batches and answers in; log bytes, acks and cuts out. No IO, no clock, no
//! threads. Most rules of `docs/exactly-once.md` live here: append, cut, repeat,
//! read back, expiry, reset.

pub mod dictionary;
pub mod doubt;
mod intake;
pub mod journal;
mod merging;
pub mod progress;
pub mod rates;
pub mod resets;
pub mod sessions;
mod submissions;
pub mod table;
pub mod uplink;

use crate::log::recovery::{Carried, OldStream, Piece, Recut};
use countree_common::cluster::{ClusterView, NodeName};
use countree_common::cut::Cut;
use countree_common::key::{Counter, Topic};
use countree_common::ledger::StreamLedger;
use countree_common::limits;
use countree_common::ring::Ring;
use countree_common::session::{Seq, SessionId};
use countree_common::stream::{Lsn, StreamId};
use countree_common::time::{Now, Time, WallMs};
use countree_common::wire::hello::RefusalCode;
use countree_common::wire::producer::{BusyReason, FromLeaf};
use countree_common::wire::rpc::{NodeStats, SubmitError};
use journal::{Append, Journal};
use rates::Rates;
use sessions::{Keys, Sessions};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;
use table::{Table, Window};
use uplink::Uplink;

/// A producer's connection, numbered by the shell.
pub type ConnectionId = u64;
/// An HTTP request that waits for its answer, numbered by the shell.
pub type SubmissionId = u64;

/// How long producers and HTTP clients are told to wait, in milliseconds.
const RETRY_AFTER_MS: u32 = 100;
/// Totals near their limit that are watched; any more the store alone keeps in range.
const NEAR_LIMIT_COUNTERS: usize = 65_536;
/// Topics whose position one leaf keeps.
const TOPICS_PER_LEAF: usize = 4 << 20;

/// What a leaf is told.
#[derive(Debug, Clone)]
pub struct LeafConfig {
    /// Its name.
    pub leaf: NodeName,
    /// How long it sums before it sends up.
    pub window: Duration,
    /// How long it remembers idle sessions and idempotency keys.
    pub horizon: Duration,
    /// How long merged records stay in the log when the store may forget.
    pub retention: Duration,
    /// The most bytes of log that it keeps.
    pub log_bytes: u64,
    /// A log segment is closed at about this many bytes.
    pub segment_bytes: u64,
}

/// What the shell has to do.
#[derive(Debug)]
pub enum Output {
    /// Tell a producer.
    Send {
        /// Which.
        connection: ConnectionId,
        /// What.
        message: FromLeaf,
    },
    /// End a conversation: the producer does not keep to the protocol.
    Close {
        /// Whose.
        connection: ConnectionId,
        /// For programs.
        code: RefusalCode,
        /// For people.
        message: String,
    },
    /// Answer an HTTP request.
    Submitted {
        /// Which.
        submission: SubmissionId,
        /// Whether it was counted.
        result: Result<(), SubmitError>,
    },
    /// Send cuts to a root.
    Cuts {
        /// Which.
        root: NodeName,
        /// In any order.
        cuts: Vec<Cut>,
    },
    /// Tell a root how far this leaf is complete.
    Watermark {
        /// Which.
        root: NodeName,
        /// Everything acked before this is merged.
        at: WallMs,
    },
    /// Read back from a stream's log, and hand the result to [`LeafMachine::handle_scan`].
    Scan {
        /// Which.
        stream: StreamId,
        /// What is looked for.
        recut: Recut,
    },
    /// Hand these ledgers to the registry, and then call [`LeafMachine::handle_retired`].
    Retire(Vec<StreamLedger>),
    /// Delete a whole stream's log.
    DropStream(StreamId),
    /// Delete a segment of the live stream's log.
    DropSegment(Lsn),
    /// Ask the cluster, for a reset.
    Ask {
        /// Which reset.
        reset: SubmissionId,
        /// What.
        question: resets::Question,
    },
    /// Answer a flush: all is merged that had been accepted when it came.
    Flushed {
        /// Which.
        flush: u64,
    },
    /// Tell the operator.
    Alarm(String),
}

/// What the disk is able to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskState {
    /// All is well.
    Works,
    /// No room; what waits will be written when there is.
    Full,
    /// A write or fsync failed: nothing is acked any more by this process (fail stop).
    Failed,
}

/// What waits until a record is on disk.
#[derive(Debug)]
enum Waiting {
    Opened { connection: ConnectionId, session: SessionId, last: Seq },
    Ack { connection: ConnectionId, seq: Seq },
    Submission { submission: SubmissionId },
}

/// A window that has ended and waits until its last record is on disk.
#[derive(Debug)]
struct Frozen {
    at: WallMs,
    to: Lsn,
    window: Window,
}

/// A leaf.
#[derive(Debug)]
pub struct LeafMachine {
    config: LeafConfig,
    journal: Journal,
    disk: DiskState,
    table: Table,
    sessions: Sessions,
    keys: Keys,
    producers: BTreeMap<ConnectionId, intake::Producer>,
    next_channel: u64,
    /// Names that all producers together have defined.
    names: usize,
    waiting: VecDeque<(Lsn, Waiting)>,
    near_limit: BTreeMap<Counter, i64>,

    window_ends: Time,
    /// Ended windows, oldest first; each holds [`limits::WINDOW_COUNTERS_PER_TOPIC`] events or more, but for
    /// one, so [`limits::LOG_QUEUE_BYTES`] bounds them.
    frozen: VecDeque<Frozen>,
    windows: u64,
    live: Uplink,
    old: BTreeMap<StreamId, Uplink>,
    retiring: BTreeSet<StreamId>,
    /// The end of the first checkpoint, which carries on what old streams say of sessions and keys.
    carried_at: Lsn,
    told_complete: BTreeMap<NodeName, WallMs>,

    view: ClusterView,
    root_ring: Ring,
    roots: BTreeSet<NodeName>,

    resets: BTreeMap<SubmissionId, resets::OpenReset>,
    flushes: VecDeque<(Lsn, u64)>,

    began: WallMs,
    rates: Rates,
    is_draining: bool,
    imbalances: u64,
    outputs: VecDeque<Output>,
}

impl LeafMachine {
    /// Begins the stream of this incarnation. The first append carries over what earlier ones knew; until it
    /// is durable nothing is acked, and until then the old streams' logs must stay.
    ///
    /// # Errors
    /// When the checkpoint can't be encoded.
    pub fn new(
        config: LeafConfig,
        incarnation: u64,
        carried: &Carried,
        old: BTreeMap<StreamId, OldStream>,
        now: Now,
    ) -> Result<Self, countree_common::wire::codec::CodecError> {
        let stream = StreamId { leaf: config.leaf.clone(), incarnation };
        let sealed = |(id, old): (StreamId, _)| (id.clone(), Uplink::sealed(id, old, config.retention));
        let old = old.into_iter().map(sealed).collect();
        let mut machine = Self {
            journal: Journal::new(config.segment_bytes),
            disk: DiskState::Works,
            table: Table::default(),
            sessions: Sessions::carried(carried),
            keys: Keys::carried(carried),
            producers: BTreeMap::new(),
            next_channel: 0,
            names: 0,
            began: now.wall,
            waiting: VecDeque::new(),
            near_limit: BTreeMap::new(),
            window_ends: now.mono + config.window,
            frozen: VecDeque::new(),
            windows: 0,
            live: Uplink::live(stream, config.retention),
            old,
            retiring: BTreeSet::new(),
            carried_at: Lsn::MAX,
            told_complete: BTreeMap::new(),
            view: ClusterView::default(),
            root_ring: Ring::new([]),
            roots: BTreeSet::new(),
            resets: BTreeMap::new(),
            flushes: VecDeque::new(),
            rates: Rates::default(),
            is_draining: false,
            imbalances: 0,
            outputs: VecDeque::new(),
            config,
        };
        machine.begin_segment()?;
        machine.carried_at = machine.journal.appended();
        Ok(machine)
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The next bytes to put on disk, in order.
    pub fn next_append(&mut self) -> Option<Append> {
        self.journal.next_append()
    }

    /// When [`LeafMachine::handle_time`] wants to be called at the latest.
    pub fn next_timeout(&self) -> Time {
        let uplinks = self.old.values().chain([&self.live]).filter_map(Uplink::next_timeout);
        uplinks.min().map_or(self.window_ends, |due| due.min(self.window_ends))
    }

    /// Time has passed: windows end, unanswered cuts are repeated, old sessions are forgotten.
    pub fn handle_time(&mut self, now: Now) {
        for uplink in self.old.values_mut().chain([&mut self.live]) {
            uplink.handle_time(now.mono);
        }
        if now.mono >= self.window_ends {
            self.end_window(now);
            self.sessions.expire(now.wall, self.config.horizon, self.journal.durable());
            self.keys.expire(now.wall, self.config.horizon);
            self.rates.handle_time(now.mono);
        }
        self.send_up(now);
    }

    /// An append is on disk: acks go out, and a window that waited for it goes up.
    pub fn handle_durable(&mut self, now: Now, last: Lsn, bytes: u64) {
        self.handle_disk(DiskState::Works);
        self.journal.note_durable(last, bytes);
        self.release_acks();
        self.offer_frozen();
        self.send_up(now);
    }

    /// The disk's state has changed. A failure is for good.
    pub fn handle_disk(&mut self, state: DiskState) {
        if self.disk != DiskState::Failed {
            self.disk = state;
        }
    }

    /// The nodes have changed.
    pub fn handle_view(&mut self, view: ClusterView) {
        self.root_ring = Ring::of(&view, countree_common::cluster::Tier::Root);
        for connection in self.producers.keys() {
            let message = FromLeaf::View(view.clone());
            self.outputs.push_back(Output::Send { connection: *connection, message });
        }
        self.view = view;
    }

    /// No new batches from here on; what was accepted goes up at once. [`LeafMachine::is_drained`] tells when
    /// all of it is merged.
    pub fn handle_drain(&mut self, now: Now) {
        self.is_draining = true;
        for connection in self.producers.keys() {
            self.outputs.push_back(Output::Send { connection: *connection, message: FromLeaf::Draining });
        }
        self.window_ends = now.mono;
        self.handle_time(now);
    }

    /// Whether everything that was accepted is merged.
    pub fn is_drained(&self) -> bool {
        let is_open = self.table.events() > 0 || !self.frozen.is_empty() || !self.waiting.is_empty();
        !is_open && self.live.is_idle() && self.old.values().all(Uplink::is_idle)
    }

    /// The ledgers of all streams that this leaf has a log of.
    pub fn ledgers(&self) -> Vec<StreamLedger> {
        let open = self.table.events() + self.frozen.iter().map(|f| f.window.events).sum::<u64>();
        let ledger = |uplink: &Uplink, sealed, open| StreamLedger {
            stream: uplink.stream().clone(),
            sealed,
            ledger: uplink.ledger(open),
        };
        let old = self.old.values().map(|uplink| ledger(uplink, true, 0));
        old.chain([ledger(&self.live, false, open)]).collect()
    }

    /// What the leaf says of itself.
    pub fn stats(&self, now: WallMs) -> NodeStats {
        let complete_to = self.complete_to().unwrap_or_default().max(self.began);
        let lag = if self.is_drained() { Duration::ZERO } else { now.since(complete_to) };
        NodeStats {
            events_per_s: self.rates.events_per_s,
            lag_ms: u64::try_from(lag.as_millis()).unwrap_or(u64::MAX),
            connections: self.producers.len() as u64,
            entries: self.table.counters() as u64,
            log_bytes: self.journal.bytes(),
            streams: self.old.keys().chain([self.live.stream()]).cloned().collect(),
            hot_items: self.rates.hot_items.clone(),
            trouble: self.trouble(),
        }
    }

    /// How often the store's count of this leaf's events was not the leaf's own. Anything but 0 is a bug.
    pub fn imbalances(&self) -> u64 {
        self.imbalances
    }

    /// Why it can't do its work right now, if it can't.
    pub fn trouble(&self) -> Option<String> {
        match (self.disk, self.roots.is_empty()) {
            (DiskState::Failed, _) => {
                Some("the log could not be written: restart the leaf once the disk is sound".into())
            }
            (DiskState::Full, _) => {
                Some("the disk is full: make room, and the leaf goes on by itself".into())
            }
            (DiskState::Works, true) => Some("no root is connected: events are logged and wait".into()),
            (DiskState::Works, false) if self.is_draining => Some("the leaf is leaving".into()),
            (DiskState::Works, false) => None,
        }
    }

    /// Why nothing can be taken at the moment.
    fn busy(&self) -> Option<BusyReason> {
        let unmerged = self.unmerged_volume();
        if self.disk == DiskState::Failed {
            Some(BusyReason::DiskFailed)
        } else if self.disk == DiskState::Full || self.journal.bytes() >= self.config.log_bytes {
            Some(BusyReason::DiskFull)
        } else if self.journal.waiting_bytes() >= limits::LOG_QUEUE_BYTES as u64
            || unmerged >= limits::UNMERGED_MAX.unsigned_abs()
        {
            Some(BusyReason::Overload)
        } else if !self.table.has_room(limits::BATCH_EVENTS) || self.live.topics() >= TOPICS_PER_LEAF {
            Some(BusyReason::TableFull)
        } else {
            None
        }
    }

    /// Σ|δ| that is accepted and not merged: no sum, and so no total, can be further off than this.
    fn unmerged_volume(&self) -> u64 {
        let frozen = self.frozen.iter().fold(0u64, |v, f| v.saturating_add(f.window.volume));
        let uplinks = self.old.values().chain([&self.live]).map(Uplink::volume);
        uplinks.fold(self.table.volume().saturating_add(frozen), u64::saturating_add)
    }
}

/// Topics with the pieces that a reading of the log found for them.
pub type Found = BTreeMap<Topic, Vec<Piece>>;

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "random_tests.rs"]
mod random_tests;
