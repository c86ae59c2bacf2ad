//! The leaf's shell: its disk, its producers, its connections to the roots.

use super::World;
use super::membership::Membership;
use crate::disk::{Crash, Disk, Written};
use crate::faults::Mishap;
use crate::flaws::Flaw;
use crate::happening::Happening;
use crate::network::{LinkId, Message, Side};
use crate::place::{Life, Place};
use countree_client::machine::producer::Outgoing;
use countree_common::cluster::{ClusterView, Node, NodeName, Tier};
use countree_common::delta::Delta;
use countree_common::event::Event;
use countree_common::key::Counter;
use countree_common::ledger::StreamLedger;
use countree_common::stream::StreamId;
use countree_common::time::Time;
use countree_common::wire::hello::Conversation;
use countree_common::wire::rpc::{Idempotency, Request, Submission};
use countree_common::wire::uplink::{FromRoot, ToRoot};
use countree_leaf::log::recovery::{Carried, OldStream, Recut};
use countree_leaf::machine::{DiskState, LeafConfig, LeafMachine, Output};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Between two attempts to reach a root, as in the real shell.
const RECONNECT: Duration = Duration::from_millis(200);
/// A machine that is overdue is woken no sooner than this, as in the real shell.
const WAKE_MIN: Duration = Duration::from_micros(100);
/// A full disk is tried again after this long.
const FULL_RETRY: Duration = Duration::from_millis(200);
/// How long a leaving leaf waits for its sums to be merged.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Longer than any run: sessions do not expire by themselves.
const HORIZON: Duration = Duration::from_secs(24 * 3600);

/// A leaf's place: its disk outlives its processes.
#[derive(Debug)]
pub(super) struct LeafNode {
    name: NodeName,
    pub(super) disk: Disk,
    lives: Life,
    process: Option<Process>,
}

#[derive(Debug)]
struct Process {
    membership: Membership,
    /// What the log holds, until there is a machine.
    recovered: Option<(Carried, BTreeMap<StreamId, OldStream>)>,
    least_incarnation: u64,
    machine: Option<LeafMachine>,
    incarnation: u64,
    producers: BTreeSet<LinkId>,
    roots: BTreeMap<NodeName, RootLink>,
    wakes_at: Option<Time>,
    /// Since when it leaves.
    leaving: Option<Time>,
    has_said_goodbye: bool,
}

#[derive(Debug)]
struct RootLink {
    node: Node,
    link: Option<LinkId>,
    is_connected: bool,
}

impl LeafNode {
    pub(super) fn new(number: usize, flaw: Option<Flaw>) -> Self {
        Self { name: Place::Leaf(number).name(), disk: Disk::new(flaw), lives: 0, process: None }
    }

    pub(super) fn life(&self) -> Option<Life> {
        self.process.as_ref().map(|_| self.lives)
    }

    pub(super) fn is_up(&self) -> bool {
        self.process.as_ref().is_some_and(|p| p.machine.is_some())
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.process.as_ref().is_some_and(|p| p.leaving.is_some())
    }

    pub(super) fn view(&self) -> Option<&ClusterView> {
        self.process.as_ref().map(|p| &p.membership.view)
    }

    pub(super) fn membership(&mut self) -> Option<&mut Membership> {
        self.process.as_mut().map(|p| &mut p.membership)
    }

    pub(super) fn least_incarnation(&self) -> u64 {
        self.process.as_ref().map_or(0, |p| p.least_incarnation)
    }

    fn machine(&mut self) -> Option<&mut LeafMachine> {
        self.process.as_mut()?.machine.as_mut()
    }

    /// The ledgers of its streams; `None` while it is down.
    pub(super) fn ledgers(&self) -> Option<Vec<StreamLedger>> {
        Some(self.process.as_ref()?.machine.as_ref()?.ledgers())
    }
}

impl World {
    /// A process starts: it reads its log and asks for an incarnation.
    pub(super) fn start_leaf(&mut self, i: usize) {
        let leaf = &mut self.leaves[i];
        if leaf.process.is_some() {
            return;
        }
        let (mut recovery, mut old, least_incarnation) = match leaf.disk.recover(&leaf.name) {
            Ok(recovered) => recovered,
            Err(e) => {
                let what = format!("{} does not start on its log: {e}", leaf.name);
                return self.violate(what);
            }
        };
        match self.plan.flaw {
            Some(Flaw::ForgottenSessions) => recovery.carried = Carried::default(),
            Some(Flaw::ForgottenStreams) => old.clear(),
            _ => {}
        }
        leaf.lives += 1;
        leaf.process = Some(Process {
            membership: Membership::default(),
            recovered: Some((recovery.carried, old)),
            least_incarnation,
            machine: None,
            incarnation: 0,
            producers: BTreeSet::new(),
            roots: BTreeMap::new(),
            wakes_at: None,
            leaving: None,
            has_said_goodbye: false,
        });
        self.beat(Place::Leaf(i));
    }

    /// A process is gone; says whether there was one.
    pub(super) fn crash_leaf(&mut self, i: usize, crash: Crash) -> bool {
        if self.leaves[i].process.take().is_none() {
            return false;
        }
        self.leaves[i].disk.crash(crash, &mut self.random);
        self.network.bury(&mut self.agenda, &mut self.random, Place::Leaf(i));
        true
    }

    pub(super) fn leaf_joined(&mut self, i: usize, incarnation: u64) {
        let now = self.clocks(Place::Leaf(i));
        let config = LeafConfig {
            leaf: self.leaves[i].name.clone(),
            window: self.plan.window,
            horizon: HORIZON,
            retention: self.plan.retention,
            log_bytes: 64 << 20,
            segment_bytes: self.plan.segment_bytes,
        };
        let leaf = &mut self.leaves[i];
        let Some(process) = &mut leaf.process else { return };
        let Some((carried, old)) = process.recovered.take() else { return };
        leaf.disk.create(incarnation);
        match LeafMachine::new(config, incarnation, &carried, old, now) {
            Ok(machine) => (process.machine, process.incarnation) = (Some(machine), incarnation),
            Err(e) => self.violate(format!("a leaf could not begin its log: {e}")),
        }
        self.drain_leaf(i);
    }

    /// The view has changed: conversations with its roots are kept, and with no others.
    pub(super) fn leaf_sees(&mut self, i: usize) {
        let Some(process) = &mut self.leaves[i].process else { return };
        let view = process.membership.view.clone();
        if let Some(machine) = &mut process.machine {
            machine.handle_view(view.clone());
        }
        let stale: Vec<NodeName> = process
            .roots
            .iter()
            .filter(|(name, root)| view.node(name) != Some(&root.node))
            .map(|(name, _)| name.clone())
            .collect();
        for name in stale {
            self.let_go_of_root(i, &name);
        }
        for node in view.tier(Tier::Root) {
            let Some(process) = &mut self.leaves[i].process else { return };
            if !process.roots.contains_key(&node.name) {
                let root = RootLink { node: node.clone(), link: None, is_connected: false };
                process.roots.insert(node.name.clone(), root);
                self.leaf_connects(i, &node.name);
            }
        }
        self.drain_leaf(i);
    }

    fn let_go_of_root(&mut self, i: usize, name: &NodeName) {
        let Some(process) = &mut self.leaves[i].process else { return };
        let Some(root) = process.roots.remove(name) else { return };
        if let Some(machine) = process.machine.as_mut().filter(|_| root.is_connected) {
            machine.handle_root_lost(name);
        }
        if let Some(link) = root.link {
            self.leave(link, Side::Opener);
        }
    }

    pub(super) fn leaf_connects(&mut self, i: usize, name: &NodeName) {
        let roots = self.leaves[i].process.as_ref().map(|p| &p.roots);
        let Some(root) = roots.and_then(|roots| roots.get(name)).filter(|r| r.link.is_none()) else { return };
        let (port, acceptor) = (root.node.quic.port(), Place::of(name));
        let Some(acceptor) = acceptor else { return };
        let link = self.open(Place::Leaf(i), acceptor, port, Conversation::Uplink);
        let roots = self.leaves[i].process.as_mut().map(|p| &mut p.roots);
        if let Some(root) = roots.and_then(|roots| roots.get_mut(name)) {
            root.link = Some(link);
        }
    }

    pub(super) fn leaf_has_root(&mut self, i: usize, link: LinkId) {
        let now = self.clocks(Place::Leaf(i));
        let Some(process) = &mut self.leaves[i].process else { return };
        let Some((name, root)) = process.roots.iter_mut().find(|(_, r)| r.link == Some(link)) else { return };
        root.is_connected = true;
        if let Some(machine) = &mut process.machine {
            machine.handle_root_connected(now, name.clone());
        }
        self.drain_leaf(i);
    }

    pub(super) fn leaf_loses(&mut self, i: usize, link: LinkId) {
        if self.is_replied(Place::Leaf(i), link, None) {
            return;
        }
        let Some(life) = self.leaves[i].life() else { return };
        let Some(process) = &mut self.leaves[i].process else { return };
        if process.producers.remove(&link) {
            if let Some(machine) = &mut process.machine {
                machine.handle_disconnected(link);
            }
        } else if let Some((name, root)) = process.roots.iter_mut().find(|(_, r)| r.link == Some(link)) {
            root.link = None;
            if let Some(machine) = process.machine.as_mut().filter(|_| root.is_connected) {
                machine.handle_root_lost(name);
            }
            root.is_connected = false;
            let again = Happening::Reconnect { place: Place::Leaf(i), life, root: name.clone() };
            self.agenda.after(RECONNECT, again);
        }
        self.drain_leaf(i);
    }

    pub(super) fn producer_came(&mut self, i: usize, link: LinkId) {
        if let Some(Process { machine: Some(machine), producers, .. }) = &mut self.leaves[i].process {
            producers.insert(link);
            machine.handle_connected(link);
        }
        self.drain_leaf(i);
    }

    pub(super) fn leaf_hears_producer(&mut self, i: usize, link: LinkId, frame: Outgoing) {
        let now = self.clocks(Place::Leaf(i));
        if let Some(machine) = self.leaves[i].machine() {
            match frame {
                Outgoing::Message(message) => machine.handle_message(now, link, message),
                Outgoing::Batch(body) => machine.handle_batch(now, link, &body),
            }
        }
        self.drain_leaf(i);
    }

    /// Counts events as an HTTP client's that nothing guards against repeats.
    pub(super) fn leaf_is_submitted(&mut self, i: usize, events: &[(Counter, i64)]) {
        let now = self.clocks(Place::Leaf(i));
        let event = |(counter, delta): &(Counter, i64)| {
            Some(Event { counter: counter.clone(), delta: Delta::new(*delta).ok()? })
        };
        let events = events.iter().filter_map(event).collect();
        if let Some(machine) = self.leaves[i].machine() {
            machine.handle_submission(now, 0, &Submission { events, idempotency: Idempotency::None });
        }
        self.drain_leaf(i);
    }

    pub(super) fn leaf_hears_root(&mut self, i: usize, message: FromRoot) {
        let now = self.clocks(Place::Leaf(i));
        let FromRoot::Outcomes(outcomes) = message;
        if let Some(machine) = self.leaves[i].machine() {
            machine.handle_outcomes(now, outcomes);
        }
        self.drain_leaf(i);
    }

    pub(super) fn leaf_retired(&mut self, i: usize, streams: &[StreamId], is_done: bool) {
        if let Some(machine) = self.leaves[i].machine() {
            if is_done {
                streams.iter().for_each(|stream| machine.handle_retired(stream));
            } else {
                machine.handle_retire_failed();
            }
        }
        self.drain_leaf(i);
    }

    pub(super) fn wake_leaf(&mut self, i: usize, at: Time) {
        let now = self.clocks(Place::Leaf(i));
        let Some(process) = self.leaves[i].process.as_mut().filter(|p| p.wakes_at == Some(at)) else {
            return;
        };
        process.wakes_at = None;
        if let Some(machine) = &mut process.machine {
            machine.handle_time(now);
        }
        self.drain_leaf(i);
    }

    /// Does what the machine has decided.
    fn drain_leaf(&mut self, i: usize) {
        while let Some(append) = self.leaves[i].machine().and_then(LeafMachine::next_append) {
            self.leaves[i].disk.append(append);
        }
        self.write_log(i);
        while let Some(output) = self.leaves[i].machine().and_then(LeafMachine::poll_output) {
            self.leaf_does(i, output);
        }
        self.check_leaf(i);
        self.say_goodbye_if_drained(i);
        let now = self.agenda.now();
        let Some(life) = self.leaves[i].life() else { return };
        let Some(process) = &mut self.leaves[i].process else { return };
        let Some(due) = process.machine.as_ref().map(LeafMachine::next_timeout) else { return };
        let at = due.max(now + WAKE_MIN);
        if process.wakes_at.is_none_or(|wakes_at| wakes_at > at) {
            process.wakes_at = Some(at);
            self.agenda.at(at, Happening::Wake { place: Place::Leaf(i), life, at });
        }
    }

    fn leaf_does(&mut self, i: usize, output: Output) {
        let life = self.leaves[i].life().unwrap_or_default();
        match output {
            Output::Send { connection, message } => {
                self.send(connection, Side::Acceptor, Message::Produced(message));
            }
            Output::Close { connection, message, .. } => {
                // Producers keep to the protocol, whatever the network does.
                self.violate(format!("leaf-{i} closed a producer's connection: {message}"));
                self.leave(connection, Side::Acceptor);
            }
            Output::Submitted { .. } => {}
            Output::Cuts { root, cuts } => self.tell_root(i, &root, ToRoot::Cuts(cuts)),
            Output::Watermark { root, at } => self.tell_root(i, &root, ToRoot::Watermark(at)),
            Output::Scan { stream, recut } => {
                let wait = self.random.micros(200, 20_000);
                let recut = Box::new(recut);
                self.agenda.after(wait, Happening::Scanned { leaf: i, life, stream, recut });
            }
            Output::Retire(ledgers) => self.ask_a_root(Place::Leaf(i), Request::Retire(ledgers)),
            Output::DropStream(stream) => self.leaves[i].disk.drop_stream(stream.incarnation),
            Output::DropSegment(first) => {
                let incarnation = self.leaves[i].process.as_ref().map_or(0, |p| p.incarnation);
                self.leaves[i].disk.drop_segment(incarnation, first);
            }
            // Nobody here resets anything yet.
            Output::Ask { .. } | Output::Flushed { .. } => {
                self.violate(format!("leaf-{i} works on a reset that nobody asked for"));
            }
            Output::Alarm(message) => self.tally.note(Alarm::of(&message)),
        }
    }

    fn tell_root(&mut self, i: usize, root: &NodeName, message: ToRoot) {
        let roots = self.leaves[i].process.as_ref().map(|p| &p.roots);
        let root = roots.and_then(|roots| roots.get(root)).filter(|r| r.is_connected);
        if let Some(link) = root.and_then(|r| r.link) {
            self.send(link, Side::Opener, Message::Uplink(message));
        }
    }

    /// Lets the log's writer go on.
    fn write_log(&mut self, i: usize) {
        let Some(life) = self.leaves[i].life() else { return };
        let incarnation = self.leaves[i].process.as_ref().map_or(0, |p| p.incarnation);
        let (report, goes_on) = self.leaves[i].disk.begin(incarnation, self.agenda.now());
        if goes_on {
            let is_full = report == Some(Written::Full);
            let wait = if is_full { FULL_RETRY } else { self.fsync_time() };
            self.agenda.after(wait, Happening::Disk { leaf: i, life });
        }
        if let Some(report) = report {
            self.log_written(i, report);
        }
    }

    fn fsync_time(&mut self) -> Duration {
        let most = if self.is_calm { 1_000 } else { self.plan.fsync_us };
        self.random.micros(50, most)
    }

    /// An fsync is over, or a full disk is tried again.
    pub(super) fn disk_done(&mut self, i: usize) {
        if let Some(report) = self.leaves[i].disk.finish() {
            self.log_written(i, report);
        }
        self.drain_leaf(i);
    }

    fn log_written(&mut self, i: usize, report: Written) {
        let now = self.clocks(Place::Leaf(i));
        let Some(machine) = self.leaves[i].machine() else { return };
        match report {
            Written::Durable { last, bytes } => machine.handle_durable(now, last, bytes),
            Written::Full => machine.handle_disk(DiskState::Full),
            Written::Failed => {
                machine.handle_disk(DiskState::Failed);
                self.replace_failed_leaf(i);
            }
        }
    }

    pub(super) fn scanned(&mut self, i: usize, stream: &StreamId, recut: Recut) {
        let now = self.clocks(Place::Leaf(i));
        let fails = !self.is_calm && self.random.chance(5);
        let found = self.leaves[i].disk.scan(stream.incarnation, recut);
        match (found, self.leaves[i].machine()) {
            (Ok(_), Some(machine)) if fails => {
                machine.handle_scan_failed(stream);
                self.tally.note(Mishap::ScanFailed);
            }
            (Ok(found), Some(machine)) => machine.handle_scan(now, stream, found),
            (Err(e), _) => self.violate(format!("leaf-{i} can't read its log back: {e}")),
            (_, None) => {}
        }
        self.drain_leaf(i);
    }

    /// The leaf takes nothing more, and leaves once all it took is merged. Says whether it could.
    pub(super) fn drain_and_leave(&mut self, i: usize) -> bool {
        let now = self.clocks(Place::Leaf(i));
        let Some(process) = self.leaves[i].process.as_mut().filter(|p| p.leaving.is_none()) else {
            return false;
        };
        let Some(machine) = &mut process.machine else { return false };
        process.leaving = Some(now.mono);
        machine.handle_drain(now);
        self.drain_leaf(i);
        true
    }

    fn say_goodbye_if_drained(&mut self, i: usize) {
        let now = self.agenda.now();
        let Some(process) = &mut self.leaves[i].process else { return };
        let (Some(machine), Some(since)) = (&process.machine, process.leaving) else { return };
        let is_over = machine.is_drained() || now.since(since) >= DRAIN_TIMEOUT;
        if is_over && !std::mem::replace(&mut process.has_said_goodbye, true) {
            let name = self.leaves[i].name.clone();
            self.ask_a_root(Place::Leaf(i), Request::Leave(name));
        }
    }

    /// The leaf is out of the view, or nobody could be told: its process ends.
    pub(super) fn leaf_has_left(&mut self, i: usize) {
        if self.crash_leaf(i, Crash::Process) {
            let wait = self.random.millis(100, 3_000);
            self.agenda.after(wait, Happening::Restart(Place::Leaf(i)));
        }
    }

    /// What must be true of a leaf at any time.
    fn check_leaf(&mut self, i: usize) {
        let Some(machine) = self.leaves[i].process.as_ref().and_then(|p| p.machine.as_ref()) else { return };
        let unbalanced = machine.ledgers().into_iter().find(|l| !l.ledger.balanced());
        let imbalances = machine.imbalances();
        if let Some(ledger) = unbalanced {
            self.violate(format!("a ledger does not balance: {ledger:?}"));
        } else if imbalances > 0 {
            self.violate(format!("leaf-{i} and the store count different numbers of events"));
        }
    }
}

/// What leaves alarm their operators of.
#[derive(Debug, Clone, Copy)]
enum Alarm {
    RollbackNoticed,
    OtherAlarm,
}

impl Alarm {
    fn of(message: &str) -> Self {
        if message.contains("gone back in time") { Alarm::RollbackNoticed } else { Alarm::OtherAlarm }
    }
}
