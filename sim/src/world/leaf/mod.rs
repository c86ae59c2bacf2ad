//! The leaf's shell: its process from start to end, around its machine.

mod leaving;
mod links;
mod log;
mod rpc;

use super::World;
use super::membership::Membership;
use super::questions::Purpose;
use crate::disk::{Crash, Disk, Folder};
use crate::flaws::Flaw;
use crate::host::{Life, Place};
use crate::model::Promise;
use crate::network::{LinkId, Message, Side};
use crate::world::event::Happening;
use countree_common::cluster::{ClusterView, NodeName};
use countree_common::ledger::StreamLedger;
use countree_common::stamp::Stamp;
use countree_common::store::{FolderAdmission, StoreId, StoreMemory, StoreStart};
use countree_common::stream::StreamId;
use countree_common::time::Time;
use countree_common::wire::codec;
use countree_common::wire::keys::KeyState;
use countree_common::wire::rpc::{LogEnd, Reply, Request, StreamProgress};
use countree_common::wire::uplink::ToRoot;
use countree_leaf::log::recovery::{Carried, OldStream, ends};
use countree_leaf::machine::calls::CallId;
use countree_leaf::machine::{LeafConfig, LeafMachine, Output};
use links::RootLink;
use rpc::Desk;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A machine that is overdue is woken no sooner than this, as in the real shell.
const WAKE_MIN: Duration = Duration::from_micros(100);

/// A leaf that was refused is started again after this long.
const REFUSED: Duration = Duration::from_millis(500);

/// A leaf's place: its disk outlives its processes.
#[derive(Debug)]
pub(super) struct LeafNode {
    name: NodeName,
    pub(super) disk: Disk,
    lives: Life,
    /// Of its folder, as it was before the last start.
    copy: Option<(Folder, Option<StoreMemory>)>,
    /// Which store its folder belongs to.
    memory: Option<StoreMemory>,
    process: Option<Process>,
}

#[derive(Debug)]
struct Process {
    membership: Membership,
    /// What the log holds, until there is a machine.
    recovered: Option<(Carried, BTreeMap<StreamId, OldStream>)>,
    log: Vec<LogEnd>,
    machine: Option<LeafMachine>,
    incarnation: u64,
    producers: BTreeSet<LinkId>,
    roots: BTreeMap<NodeName, RootLink>,
    /// Who waits for answers.
    desk: Desk,
    wakes_at: Option<Time>,
    /// Since when it leaves.
    leaving: Option<Time>,
    has_said_goodbye: bool,
    /// It sends no heartbeats any more.
    is_silent: bool,
    /// What is to be said once the last heartbeat is over.
    last_word: Option<(CallId, Request)>,
    /// What waits for the disk, in a world where the machine does not.
    held: Vec<(LinkId, Message)>,
}

impl LeafNode {
    pub(super) fn new(number: usize, flaw: Option<Flaw>) -> Self {
        let (name, disk) = (Place::Leaf(number).name(), Disk::new(flaw));
        Self { name, disk, lives: 0, copy: None, memory: None, process: None }
    }

    fn name(&self) -> &NodeName {
        &self.name
    }

    pub(super) fn life(&self) -> Option<Life> {
        self.process.as_ref().map(|_| self.lives)
    }

    pub(super) fn is_up(&self) -> bool {
        self.process.as_ref().is_some_and(|p| p.machine.is_some())
    }

    /// Whether a process ever ran here.
    pub(super) fn has_lived(&self) -> bool {
        self.lives > 0
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.process.as_ref().is_some_and(|p| p.leaving.is_some())
    }

    pub(super) fn is_silent(&self) -> bool {
        self.process.as_ref().is_some_and(|p| p.is_silent)
    }

    pub(super) fn view(&self) -> Option<&ClusterView> {
        self.process.as_ref().map(|p| &p.membership.view)
    }

    pub(super) fn membership(&mut self) -> Option<&mut Membership> {
        self.process.as_mut().map(|p| &mut p.membership)
    }

    /// What its log held when it started.
    pub(super) fn log(&self) -> Vec<LogEnd> {
        self.process.as_ref().map(|p| p.log.clone()).unwrap_or_default()
    }

    /// The store that its folder belongs to.
    pub(super) fn store(&self) -> Option<StoreId> {
        self.memory.as_ref().map(|memory| memory.id)
    }

    /// The same, with the last start of it that the folder has seen.
    pub(super) fn known_store(&self) -> Option<(StoreId, StoreStart)> {
        self.memory.as_ref().map(|memory| (memory.id, memory.start))
    }

    /// How far it has come.
    pub(super) fn reached(&self) -> StreamProgress {
        let machine = self.process.as_ref().and_then(|p| p.machine.as_ref());
        machine.map(LeafMachine::reached).unwrap_or_default()
    }

    /// The folder is lost, or replaced by the copy from before the last start. Says whether that takes anything away.
    pub(super) fn lose_folder(&mut self, is_restored: bool) -> bool {
        let copy = if is_restored { self.copy.clone() } else { Some((Folder::default(), None)) };
        let Some((copy, memory)) = copy.filter(|_| self.process.is_none()) else { return false };
        self.disk.replace(copy);
        self.memory = memory;
        true
    }

    fn machine(&mut self) -> Option<&mut LeafMachine> {
        self.process.as_mut()?.machine.as_mut()
    }

    /// The ledgers of its streams; `None` while it is down.
    pub(super) fn ledgers(&self) -> Option<Vec<StreamLedger>> {
        Some(self.process.as_ref()?.machine.as_ref()?.known_ledgers())
    }
}

impl World {
    /// A process starts: it reads its log and asks for an incarnation.
    pub(super) fn start_leaf(&mut self, i: usize) {
        let leaf = &mut self.leaves[i];
        if leaf.process.is_some() {
            return;
        }
        let copy = leaf.disk.copied();
        let (mut recovery, mut old) = match leaf.disk.recover(&leaf.name) {
            Ok(recovered) => recovered,
            Err(e) => {
                let what = format!("{} does not start on its log: {e}", leaf.name);
                return self.violate(Promise::Orderly, what);
            }
        };
        let log = ends(&old);
        match self.plan.flaw {
            Some(Flaw::ForgottenSessions) => recovery.carried = Carried::default(),
            Some(Flaw::ForgottenKeys) => recovery.carried.keys.clear(),
            Some(Flaw::ForgottenNotes) => {
                recovery.carried.keys.retain(|_, of| matches!(of.state, KeyState::Used { .. }));
            }
            Some(Flaw::ForgottenContent) => {
                let used = recovery.carried.keys.values_mut();
                let used = used.filter(|of| matches!(of.state, KeyState::Used { .. }));
                used.for_each(|of| of.state = KeyState::Used { content: 0 });
            }
            Some(Flaw::ForgottenSeal) => {
                recovery.carried.sessions.values_mut().for_each(|session| session.is_ended = false);
            }
            Some(Flaw::ForgottenStreams) => old.clear(),
            _ => {}
        }
        leaf.lives += 1;
        leaf.copy = Some((copy, leaf.memory.clone()));
        leaf.process = Some(Process {
            membership: Membership::default(),
            recovered: Some((recovery.carried, old)),
            log,
            machine: None,
            incarnation: 0,
            producers: BTreeSet::new(),
            roots: BTreeMap::new(),
            desk: Desk::default(),
            wakes_at: None,
            leaving: None,
            has_said_goodbye: false,
            is_silent: false,
            last_word: None,
            held: Vec::new(),
        });
        self.beat(Place::Leaf(i));
    }

    /// A process is gone; says whether there was one.
    pub(super) fn crash_leaf(&mut self, i: usize, crash: Crash) -> bool {
        if self.leaves[i].process.take().is_none() {
            return false;
        }
        self.leaves[i].disk.crash(crash, &mut self.random, &mut self.tally);
        self.bury(Place::Leaf(i));
        true
    }

    /// The leaf's folder belongs to this store from now on.
    pub(super) fn bind_leaf(&mut self, i: usize, store: Option<FolderAdmission>) {
        let Some(store) = store else { return };
        let leaf = &mut self.leaves[i];
        if let Some((carried, _)) = leaf.process.as_mut().and_then(|process| process.recovered.as_mut()) {
            leaf.memory = Some(carried.belong(&store, leaf.memory.as_ref()));
        }
        if store.is_foreign {
            // What it had merged elsewhere, and has no log of any more, is not here.
            self.truth.note_adopted(i, self.agenda.now());
        }
    }

    /// The folder belongs to another store: the operator starts the leaf again a while later.
    pub(super) fn leaf_is_refused(&mut self, i: usize) {
        if self.crash_leaf(i, Crash::Process) {
            self.agenda.after(REFUSED, Happening::Restart(Place::Leaf(i)));
        }
    }

    pub(super) fn leaf_joined(&mut self, i: usize, incarnation: u64, missing: &[StreamId]) {
        let now = self.clocks(Place::Leaf(i));
        let config = LeafConfig {
            leaf: self.leaves[i].name.clone(),
            window: self.plan.cluster.window,
            horizon: self.plan.cluster.horizon,
            retention: self.plan.cluster.retention,
            log_bytes: 64 << 20,
            segment_bytes: self.plan.cluster.segment_bytes,
            capacity: 2_000_000,
        };
        let leaf = &mut self.leaves[i];
        let Some(process) = &mut leaf.process else { return };
        let Some((mut carried, old)) = process.recovered.take() else { return };
        if self.plan.flaw != Some(Flaw::TrustedCopies) {
            carried.note_missing(missing);
        }
        leaf.disk.create(incarnation);
        match LeafMachine::new(config, incarnation, &carried, old, now) {
            Ok(machine) => (process.machine, process.incarnation) = (Some(machine), incarnation),
            Err(e) => self.violate(Promise::Orderly, format!("a leaf could not begin its log: {e}")),
        }
        self.drain_leaf(i);
    }

    /// A root has confirmed the view, or brought a newer one.
    pub(super) fn leaf_is_confirmed(&mut self, i: usize) {
        let now = self.clocks(Place::Leaf(i));
        if let Some(machine) = self.leaves[i].machine() {
            machine.handle_confirmation(now);
        }
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
        self.leave_if_overdue(i);
        let now = self.agenda.now();
        let Some(life) = self.leaves[i].life() else { return };
        let leap = self.leap(Place::Leaf(i));
        let Some(process) = &mut self.leaves[i].process else { return };
        let Some(due) = process.machine.as_ref().map(LeafMachine::next_timeout) else { return };
        let at = (due - leap).max(now + WAKE_MIN);
        if process.wakes_at.is_none_or(|wakes_at| wakes_at > at) {
            process.wakes_at = Some(at);
            self.agenda.at(at, Happening::Wake { place: Place::Leaf(i), life, at });
        }
    }

    fn leaf_does(&mut self, i: usize, output: Output) {
        let life = self.leaves[i].life().unwrap_or_default();
        match output {
            Output::Send { connection, message } => {
                self.leaf_says(i, connection, Message::Produced(message));
            }
            Output::Close { connection, message, .. } => {
                // Producers keep to the protocol, whatever the network does.
                self.violate(Promise::Orderly, format!("leaf-{i} closed a producer's connection: {message}"));
                self.leave(connection, Side::Acceptor);
            }
            Output::Submitted { submission, result } => self.submitted(i, submission, result),
            Output::Forgotten { submission, result } => {
                self.answer(i, submission, Reply::TopicForgotten(result));
            }
            Output::Cuts { root, message } => match codec::decode(&message) {
                Ok(message) => self.tell_root(i, &root, message),
                Err(e) => self.violate(Promise::Orderly, format!("leaf-{i} sends what is no message: {e}")),
            },
            Output::Echo { root, stamp } => {
                let era = if stamp.era == 0 { self.store.served_in() } else { stamp.era };
                self.tell_root(i, &root, ToRoot::Echo(Stamp { era, ..stamp }));
            }
            Output::Scan { stream, recut } => {
                let wait = self.random.micros(200, 20_000);
                let recut = Box::new(recut);
                self.agenda.after(wait, Happening::Scanned { leaf: i, life, stream, recut });
            }
            Output::Retire(ledgers) => {
                self.ask_a_root(Place::Leaf(i), Request::Retire(ledgers), Purpose::Membership)
            }
            Output::DropStream(stream) => self.leaves[i].disk.drop_stream(stream.incarnation),
            Output::DropSegment(first) => {
                let incarnation = self.leaves[i].process.as_ref().map_or(0, |p| p.incarnation);
                self.leaves[i].disk.drop_segment(incarnation, first);
            }
            Output::Ask { reset, question } => self.reset_asks(i, reset, question),
            Output::Flushed { flush, version } => self.flushed(i, flush, version),
            Output::Call { call, callee, request } => self.leaf_calls(i, call, callee, request),
            Output::Left { keeps_keys } => self.leaf_may_go(i, keeps_keys),
            Output::Answer { question, reply } => self.answer(i, question, reply),
            Output::Alarm(message) => self.tally.note(Alarm::of(&message)),
        }
    }

    /// What must be true of a leaf at any time.
    fn check_leaf(&mut self, i: usize) {
        let Some(machine) = self.leaves[i].process.as_ref().and_then(|p| p.machine.as_ref()) else { return };
        let unbalanced = machine.ledgers().into_iter().find(|l| !l.ledger.balanced());
        let imbalances = machine.imbalances();
        if let Some(ledger) = unbalanced {
            self.violate(Promise::Balanced, format!("a ledger does not balance: {ledger:?}"));
        } else if imbalances > 0 {
            self.violate(
                Promise::Balanced,
                format!("leaf-{i} and the store count different numbers of events"),
            );
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
