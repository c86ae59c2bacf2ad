//! A machine on its disk, with both clocks, checked after every input.

use super::{Chance, Names, TestDisk, TestStore, decoded};
use crate::machine::calls::{CallId, Callee};
use crate::machine::{ConnectionId, Found, LeafConfig, LeafMachine, Output, SubmissionId};
use countree_common::cluster::{ClusterView, KeyHistory, Node, NodeName, Tier};
use countree_common::cut::{Cut, Outcome};
use countree_common::delta::Delta;
use countree_common::event::Event;
use countree_common::key::Counter;
use countree_common::session::{Seq, SessionId};
use countree_common::stamp::Stamp;
use countree_common::stream::StreamId;
use countree_common::time::{Now, Time, WallMs};
use countree_common::wire::producer::{FromLeaf, ToLeaf};
use countree_common::wire::rpc::{Counted, Idempotency, Reply, Request, Submission, SubmitError};
use countree_common::wire::uplink::CutOutcome;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

pub(crate) fn leaf_name() -> NodeName {
    NodeName::new("leaf-0").unwrap()
}

pub(crate) fn root_name() -> NodeName {
    NodeName::new("root-0").unwrap()
}

pub(crate) fn config() -> LeafConfig {
    LeafConfig {
        leaf: leaf_name(),
        window: Duration::from_millis(100),
        horizon: Duration::from_secs(600),
        retention: Duration::from_secs(10),
        log_bytes: 1 << 30,
        segment_bytes: 1 << 20,
        capacity: 2_000_000,
    }
}

pub(crate) fn name(node: &str) -> NodeName {
    NodeName::new(node).unwrap()
}

/// A leaf's first start.
pub(crate) fn leaf_node(leaf: &str) -> Node {
    let quic = ([127, 0, 0, 1], 2).into();
    Node { name: name(leaf), tier: Tier::Leaf, quic, http: None, incarnation: 1 }
}

pub(crate) fn view() -> ClusterView {
    let quic = ([127, 0, 0, 1], 1).into();
    let root = Node { name: root_name(), tier: Tier::Root, quic, http: None, incarnation: 1 };
    let keys = KeyHistory { owners: vec![leaf_name()], ..KeyHistory::default() };
    ClusterView { epoch: 1, nodes: vec![root], keys, ..ClusterView::default() }
}

pub(crate) fn ledgers_balance(machine: &LeafMachine) {
    for of_one in machine.ledgers() {
        assert!(of_one.ledger.balanced(), "{of_one:?}");
    }
}

pub(crate) struct Rig {
    pub(crate) machine: LeafMachine,
    pub(crate) disk: TestDisk,
    pub(crate) now: Now,
    pub(crate) incarnation: u64,
    pub(crate) outputs: VecDeque<Output>,
    config: LeafConfig,
    names: BTreeMap<u64, Names>,
}

impl Rig {
    /// A leaf on an empty disk, with its root connected and its first checkpoint on disk.
    pub(crate) fn start(config: LeafConfig) -> Self {
        let mut rig =
            Self::on(config, TestDisk::default(), Now { mono: Time(1_000_000), wall: WallMs(1_000) });
        rig.sync();
        rig.connect_root();
        rig
    }

    /// A leaf on this disk, with nothing of its own on it yet.
    pub(crate) fn on(config: LeafConfig, mut disk: TestDisk, now: Now) -> Self {
        let (recovery, old) = disk.recover(&config.leaf).unwrap();
        let incarnation = disk.streams.keys().last().map_or(1, |last| last + 1);
        disk.streams.insert(incarnation, BTreeMap::new());
        let machine = LeafMachine::new(config.clone(), incarnation, &recovery.carried, old, now).unwrap();
        let (outputs, names) = (VecDeque::new(), BTreeMap::new());
        let mut rig = Self { machine, disk, now, incarnation, outputs, config, names };
        rig.see(view());
        rig.collect();
        rig
    }

    /// The machine is shown a view, in which this start is listed where its leaf owns keys.
    pub(crate) fn see(&mut self, mut view: ClusterView) {
        let me = &self.config.leaf;
        if view.keys.owners.contains(me) {
            view.nodes.retain(|node| node.name != *me);
            view.nodes.push(Node { incarnation: self.incarnation, ..leaf_node(me.as_str()) });
        }
        self.machine.handle_view(view);
    }

    /// A crash that loses what is not on disk, and the next start.
    pub(crate) fn crash(&mut self, chance: &mut Chance) {
        let mut disk = std::mem::take(&mut self.disk);
        disk.crash(self.incarnation, chance);
        *self = Self::on(self.config.clone(), disk, self.now);
    }

    /// Takes up what the machine has to say, and checks what always holds.
    pub(crate) fn collect(&mut self) {
        ledgers_balance(&self.machine);
        while let Some(append) = self.machine.next_append() {
            self.disk.pending.push_back(append);
        }
        while let Some(output) = self.machine.poll_output() {
            self.outputs.push_back(output);
        }
    }

    pub(crate) fn live(&self) -> StreamId {
        StreamId { leaf: self.config.leaf.clone(), incarnation: self.incarnation }
    }

    pub(crate) fn connect_root(&mut self) {
        self.machine.handle_root_connected(self.now, root_name());
        self.collect();
    }

    /// Puts everything on disk that was written, with one fsync.
    pub(crate) fn sync(&mut self) {
        let (mut synced, mut bytes) = (None, 0);
        while let Some((last, more)) = self.disk.sync_one(self.incarnation) {
            (synced, bytes) = (Some(last), bytes + more);
        }
        if let Some(last) = synced {
            self.machine.handle_durable(self.now, last, bytes);
            self.collect();
        }
    }

    pub(crate) fn pass(&mut self, ms: u64) {
        self.now.mono = self.now.mono + Duration::from_millis(ms);
        self.now.wall = self.now.wall + Duration::from_millis(ms);
        self.machine.handle_time(self.now);
        self.collect();
    }

    pub(crate) fn connect(&mut self, connection: u64) {
        self.names.insert(connection, Names::default());
        self.machine.handle_connected(ConnectionId(connection));
        self.collect();
    }

    pub(crate) fn message(&mut self, connection: u64, message: ToLeaf) {
        self.machine.handle_message(self.now, ConnectionId(connection), message);
        self.collect();
    }

    pub(crate) fn body(&mut self, connection: u64, body: &[u8]) {
        self.machine.handle_batch(self.now, ConnectionId(connection), body);
        self.collect();
    }

    pub(crate) fn batch(&mut self, connection: u64, seq: Seq, events: &[(Counter, i64)]) {
        let body = self.names.entry(connection).or_default().batch(seq, events);
        self.body(connection, &body);
    }

    /// Connects and opens a session, all on disk.
    pub(crate) fn open(&mut self, connection: u64, session: u128) {
        self.connect(connection);
        self.message(connection, ToLeaf::Open(SessionId(session)));
        self.sync();
        assert!(self.said(connection).contains(&FromLeaf::Opened { session: SessionId(session), last: 0 }));
    }

    pub(crate) fn submit(&mut self, id: u64, events: &[(Counter, i64)], idempotency: Idempotency) {
        let event = |(counter, delta): &(Counter, i64)| Event {
            counter: counter.clone(),
            delta: Delta::new(*delta).unwrap(),
        };
        let submission = Submission { events: events.iter().map(event).collect(), idempotency };
        self.machine.handle_submission(self.now, SubmissionId(id), submission);
        self.collect();
    }

    /// Takes out the outputs that are wanted, and leaves the others.
    pub(crate) fn take(&mut self, is_wanted: impl Fn(&Output) -> bool) -> Vec<Output> {
        let (taken, left): (Vec<_>, Vec<_>) = self.outputs.drain(..).partition(is_wanted);
        self.outputs = left.into();
        taken
    }

    /// The messages to a producer since this was called last, the view left out.
    pub(crate) fn said(&mut self, to: u64) -> Vec<FromLeaf> {
        let said = self.take(|o| matches!(o, Output::Send { connection, .. } if connection.0 == to));
        let message = |output| if let Output::Send { message, .. } = output { Some(message) } else { None };
        said.into_iter().filter_map(message).filter(|m| !matches!(m, FromLeaf::View(_))).collect()
    }

    pub(crate) fn cuts(&mut self) -> Vec<Cut> {
        let cuts = self.take(|o| matches!(o, Output::Cuts { .. })).into_iter();
        cuts.flat_map(|o| if let Output::Cuts { message, .. } = o { decoded(&message) } else { Vec::new() })
            .collect()
    }

    pub(crate) fn alarms(&mut self) -> usize {
        self.take(|o| matches!(o, Output::Alarm(_))).len()
    }

    /// The root stamps.
    pub(crate) fn stamp(&mut self, era: u64, at: u64) {
        self.machine.handle_stamp(self.now, &root_name(), Stamp { era, at: WallMs(at) });
        self.collect();
    }

    /// The stamps that were echoed since this was called last.
    pub(crate) fn echoes(&mut self) -> Vec<u64> {
        let echoes = self.take(|o| matches!(o, Output::Echo { .. })).into_iter();
        echoes
            .filter_map(|o| if let Output::Echo { stamp, .. } = o { Some(stamp.at.0) } else { None })
            .collect()
    }

    pub(crate) fn verdicts(&mut self) -> Vec<(u64, Result<Counted, SubmitError>)> {
        let result = |output| match output {
            Output::Submitted { submission, result } => Some((submission.0, result)),
            _ => None,
        };
        self.take(|o| matches!(o, Output::Submitted { .. })).into_iter().filter_map(result).collect()
    }

    /// [`Rig::verdicts`], whether they were replays or not.
    pub(crate) fn submitted(&mut self) -> Vec<(u64, Result<(), SubmitError>)> {
        self.verdicts().into_iter().map(|(id, result)| (id, result.map(|_| ()))).collect()
    }

    /// The answers to other nodes.
    pub(crate) fn answers(&mut self) -> Vec<(u64, Reply)> {
        let answer = |output| match output {
            Output::Answer { question, reply } => Some((question.0, reply)),
            _ => None,
        };
        self.take(|o| matches!(o, Output::Answer { .. })).into_iter().filter_map(answer).collect()
    }

    pub(crate) fn answer(&mut self, cut: &Cut, outcome: Option<Outcome>) {
        let Cut { stream, topic, from, to, .. } = cut.clone();
        self.machine.handle_outcomes(self.now, vec![CutOutcome { stream, topic, from, to, outcome }]);
        self.collect();
    }

    /// The questions to other nodes.
    pub(crate) fn calls(&mut self) -> Vec<(CallId, Callee, Request)> {
        let call = |output| match output {
            Output::Call { call, callee, request } => Some((call, callee, request)),
            _ => None,
        };
        self.take(|o| matches!(o, Output::Call { .. })).into_iter().filter_map(call).collect()
    }

    pub(crate) fn reply(&mut self, call: CallId, reply: Option<Reply>) {
        self.machine.handle_reply(self.now, call, reply);
        self.collect();
    }

    /// Answers all calls alike.
    pub(crate) fn answer_calls(&mut self, reply: &Reply) {
        for (call, ..) in self.calls() {
            self.reply(call, Some(reply.clone()));
        }
    }

    pub(crate) fn scanned(&mut self) {
        for output in self.take(|o| matches!(o, Output::Scan { .. })) {
            let Output::Scan { stream, recut } = output else { continue };
            let found: Found = self.disk.scan(&stream, recut);
            self.machine.handle_scan(self.now, &stream, found);
            self.collect();
        }
    }

    /// Lets windows end and the store merge, and readings of the log finish, until all is merged.
    pub(crate) fn merge_all(&mut self, store: &mut TestStore) {
        for _ in 0..100 {
            self.sync();
            self.pass(100);
            self.scanned();
            for cut in self.cuts() {
                let outcome = store.merge(&cut);
                self.answer(&cut, Some(outcome));
            }
            if self.machine.is_drained() && self.disk.pending.is_empty() {
                return;
            }
        }
        panic!("it does not come to rest: {:?}", self.machine.ledgers());
    }
}
