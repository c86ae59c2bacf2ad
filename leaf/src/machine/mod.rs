//! The leaf as a pure machine: batches and answers in; log bytes, acks and cuts out. No IO, no clock, no
//! threads. Most rules of `docs/exactly-once.md` live here: append, cut, repeat,
//! read back, expiry, reset.

pub mod calls;
pub mod counters;
mod flushes;
mod forgets;
pub mod idempotency;
pub mod intake;
mod leaving;
pub mod log_builder;
mod output;
mod report;
pub mod resets;
pub mod uplink;

use crate::log::recovery::{Carried, OldStream, Piece};
use calls::Calls;
use counters::names::CounterId;
use counters::rates::Rates;
use counters::table::{Table, Window};
use countree_common::cluster::{ClusterView, NodeName, Tier};
use countree_common::key::Topic;
use countree_common::ring::Ring;
use countree_common::session::{Seq, SessionId};
use countree_common::stream::{Lsn, StreamId};
use countree_common::time::{Now, SteadyClock, Time, WallMs};
use countree_common::wire::keys::Remembered;
use countree_common::wire::producer::FromLeaf;
use countree_common::wire::rpc::Counted;
use idempotency::keys::Keys;
use idempotency::lookup::{Clearances, KeyRings};
use intake::sessions::Sessions;
use leaving::drain::Leave;
use leaving::retirement::Retirement;
use log_builder::{Append, Journal};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;
use uplink::echoes::Echoes;
use uplink::stream::Uplink;

pub use output::Output;

/// A producer's connection, numbered by the shell.
pub type ConnectionId = u64;
/// An HTTP request that waits for its answer, numbered by the shell.
pub type SubmissionId = u64;

/// How long producers and HTTP clients are told to wait, in milliseconds.
const RETRY_AFTER_MS: u32 = 100;

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
    /// Events per second that it is meant to carry: items with too large a share of that are split.
    pub capacity: u64,
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
    Ended { connection: ConnectionId, session: SessionId, last: Seq },
    Ack { connection: ConnectionId, seq: Seq },
    Submission { submission: SubmissionId, counted: Counted },
    Remembered { question: SubmissionId, keys: Vec<Remembered> },
}

/// A window that has ended, or one topic's part of the open one, which waits until its last record is on disk.
#[derive(Debug)]
struct Frozen {
    /// When the window ended; `None` where the window goes on for the other topics.
    ends: Option<WallMs>,
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
    producers: BTreeMap<ConnectionId, intake::batches::Producer>,
    /// Names that all producers together have defined.
    names: usize,
    /// Counters that nothing may refer to any more, at most.
    abandoned: usize,
    /// A batch's events with the table's ids; kept for its room.
    renamed: Vec<u8>,
    waiting: VecDeque<(Lsn, Waiting)>,
    near_limit: BTreeMap<CounterId, i64>,

    window_ends: Time,
    /// Oldest first. Each holds events, all but one, so the bytes that may wait for the log bound them.
    frozen: VecDeque<Frozen>,
    windows: u64,
    live: Uplink,
    old: BTreeMap<StreamId, Uplink>,
    retirement: Retirement,
    /// The end of the first checkpoint, which carries on what old streams say of sessions and keys.
    carried_at: Lsn,
    echoes: Echoes,

    view: ClusterView,
    /// The epoch of the first view that lists this leaf, so that whoever asks all leaves by it asks this one.
    listed_since: Option<u64>,
    /// A later start under this leaf's name is listed: the two are copies of one folder, or one outlived the other.
    is_superseded: bool,
    /// The epoch of the first view with these owners of keys, of whom none has left and come back since.
    owners_since: u64,
    root_ring: Ring,
    roots: BTreeSet<NodeName>,

    resets: BTreeMap<SubmissionId, resets::OpenReset>,
    flushes: VecDeque<flushes::Flush>,

    began: WallMs,
    /// Ages sessions and keys; it goes on where the log was left.
    clock: SteadyClock,
    /// The latest time that the view's key history speaks of.
    registry_time: WallMs,
    /// The registry's time, or less: what its key history says of the past is aged by it.
    registry_clock: SteadyClock,
    rates: Rates,
    calls: Calls,
    clearances: Clearances,
    /// Of the view's keys, once they are needed.
    key_rings: Option<KeyRings>,
    /// When a root confirmed the view last.
    confirmed: Time,
    /// Sessions with other leaves that somebody asks about, and who does.
    asked: BTreeMap<(NodeName, SessionId), BTreeSet<ConnectionId>>,
    leave: Option<Leave>,
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
        let mut table = Table::default();
        let mut sealed =
            |(id, old): (StreamId, _)| (id.clone(), Uplink::sealed(id, old, config.retention, &mut table));
        let old = old.into_iter().map(&mut sealed).collect();
        let mut machine = Self {
            journal: Journal::new(config.segment_bytes),
            disk: DiskState::Works,
            table,
            sessions: Sessions::carried(carried),
            keys: Keys::carried(carried),
            producers: BTreeMap::new(),
            names: 0,
            abandoned: 0,
            renamed: Vec::new(),
            began: now.wall,
            clock: SteadyClock::begin(carried.latest().unwrap_or(now.wall), now.mono),
            registry_time: WallMs::default(),
            registry_clock: SteadyClock::default(),
            waiting: VecDeque::new(),
            near_limit: BTreeMap::new(),
            window_ends: now.mono + config.window,
            frozen: VecDeque::new(),
            windows: 0,
            live: Uplink::live(stream, config.retention),
            old,
            retirement: Retirement::carried(carried),
            carried_at: Lsn::MAX,
            echoes: Echoes::default(),
            view: ClusterView::default(),
            listed_since: None,
            is_superseded: false,
            owners_since: 0,
            root_ring: Ring::new([]),
            roots: BTreeSet::new(),
            resets: BTreeMap::new(),
            flushes: VecDeque::new(),
            rates: Rates::default(),
            calls: Calls::default(),
            clearances: Clearances::default(),
            key_rings: None,
            confirmed: now.mono,
            asked: BTreeMap::new(),
            leave: None,
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
        let uplinks = self.uplinks().filter_map(Uplink::next_timeout);
        let leave = self.leave.as_ref().and_then(Leave::next_timeout);
        uplinks.chain(leave).fold(self.window_ends, Time::min)
    }

    /// Time has passed: windows end, unanswered cuts are repeated, old sessions are forgotten.
    pub fn handle_time(&mut self, now: Now) {
        self.registry_now(now);
        for uplink in self.uplinks_mut() {
            uplink.handle_time(now.mono);
        }
        if now.mono >= self.window_ends {
            self.end_window(now);
            let age = self.age(now);
            self.sessions.expire(age, self.config.horizon, self.journal.durable());
            self.keys.expire(age, self.config.horizon);
            self.rates.handle_time(now.mono);
        }
        self.send_up(now);
        self.go_on_leaving(now);
    }

    /// An append is on disk: acks go out, and a window that waited for it goes up.
    pub fn handle_durable(&mut self, now: Now, last: Lsn, bytes: u64) {
        self.handle_disk(DiskState::Works);
        self.journal.note_durable(last, bytes);
        self.release_acks();
        self.offer_frozen();
        self.settle_flushes();
        self.send_up(now);
        self.go_on_leaving(now);
    }

    /// The disk's state has changed. A failure is for good.
    pub fn handle_disk(&mut self, state: DiskState) {
        if self.disk != DiskState::Failed {
            self.disk = state;
        }
    }

    /// The nodes have changed.
    pub fn handle_view(&mut self, view: ClusterView) {
        self.root_ring = Ring::of(&view, Tier::Root);
        for connection in self.producers.keys() {
            let message = FromLeaf::View(view.clone());
            self.outputs.push_back(Output::Send { connection: *connection, message });
        }
        let (me, mine) = (&self.config.leaf, self.live.stream().incarnation);
        if !self.is_superseded && view.node(me).is_some_and(|listed| listed.incarnation > mine) {
            self.is_superseded = true;
            let alarm = format!(
                "another start of {me} has joined: this one takes nothing more, and merges what it has"
            );
            self.outputs.push_back(Output::Alarm(alarm));
        }
        let is_listed = view.node(me).is_some_and(|listed| listed.incarnation == mine);
        if self.listed_since.is_none() && is_listed {
            self.listed_since = Some(view.epoch);
        }
        if self.view.keys != view.keys {
            self.key_rings = None;
            self.owners_since = view.epoch;
            self.registry_time = view.keys.latest();
        }
        self.view = view;
    }

    /// The time that ages what is remembered.
    fn age(&self, now: Now) -> WallMs {
        self.clock.read(now.mono)
    }

    /// The registry's time, or less: then questions are asked for longer than they have to be.
    fn registry_now(&mut self, now: Now) -> WallMs {
        self.registry_clock.catch_up(self.registry_time, now.mono);
        self.registry_clock.read(now.mono)
    }

    /// Whether everything that was accepted is merged.
    pub fn is_drained(&self) -> bool {
        let is_open = self.table.events() > 0 || !self.frozen.is_empty() || !self.waiting.is_empty();
        !is_open && self.uplinks().all(Uplink::is_idle)
    }

    fn uplinks(&self) -> impl Iterator<Item = &Uplink> {
        self.old.values().chain([&self.live])
    }

    fn uplinks_mut(&mut self) -> impl Iterator<Item = &mut Uplink> {
        self.old.values_mut().chain([&mut self.live])
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
