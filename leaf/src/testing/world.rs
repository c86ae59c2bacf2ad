//! Stands a leaf between producers, HTTP clients, a root and a store, all of which fail: every rule that a leaf
//! keeps is at stake, one seed at a time.

mod checks;
mod link;
mod past;
mod promises;
mod registry;

use super::client::Client;
use super::session::Producer;
use super::{Chance, Rig, TestStore, config, counter, root_name, topic};
use crate::log::recut::Recut;
use crate::machine::calls::CallId;
use crate::machine::{DiskState, LeafConfig};
use countree_common::cut::Cut;
use countree_common::document::Version;
use countree_common::key::Counter;
use countree_common::ledger::StreamLedger;
use countree_common::stream::StreamId;
use countree_common::wire::rpc::Request;
use link::RootLink;
use past::ForgetfulStore;
use promises::Promises;
use registry::Registry;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

const TOPICS: [&str; 3] = ["match", "show", "vote"];
const ITEMS: [&str; 3] = ["a", "b", "c"];
/// The store forgets what it merged in this time, at most.
const FORGETS: Duration = Duration::from_secs(1);
const RETENTION: Duration = Duration::from_secs(3);

/// Work that the leaf has asked for, and that is not done yet.
#[derive(Default)]
struct OpenWork {
    scans: VecDeque<(StreamId, Recut)>,
    retirements: VecDeque<Vec<StreamLedger>>,
    calls: VecDeque<(CallId, Request)>,
}

pub(crate) struct World {
    pub(crate) chance: Chance,
    pub(crate) rig: Rig,
    store: ForgetfulStore,
    registry: Registry,
    link: RootLink,
    work: OpenWork,
    producers: Vec<Producer>,
    clients: Vec<Client>,
    promises: Promises,
    is_disk_full: bool,
    pub(crate) crashes: u32,
    /// The number of times that the leaf has left.
    pub(crate) leaves: u32,
    has_left: bool,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let segment_bytes = [400, 2_000, 100_000][chance.below(3)];
        let rig = Rig::start(LeafConfig { segment_bytes, retention: RETENTION, ..config() });
        let store = ForgetfulStore::new(TestStore::new(chance.percent(30)));
        Self {
            chance,
            rig,
            store,
            registry: Registry::default(),
            link: RootLink::connected(),
            work: OpenWork::default(),
            producers: (1..=3).map(Producer::new).collect(),
            clients: Vec::new(),
            promises: Promises::default(),
            is_disk_full: false,
            crashes: 0,
            leaves: 0,
            has_left: false,
        }
    }

    pub(crate) fn went_back(&self) -> u32 {
        self.store.went_back
    }

    /// Makes one thing happen.
    pub(crate) fn step(&mut self) {
        let one = self.chance.below(self.producers.len());
        match self.chance.below(100) {
            0..12 => {
                let events = self.some_events();
                self.producers[one].write(events);
            }
            12..30 => self.producers[one].send_next(),
            30..50 => self.producers[one].deliver(&mut self.rig),
            50..53 => self.producers[one].reconnect(&mut self.rig),
            53..58 => self.http(),
            58 => self.flush(),
            59..70 if !self.is_disk_full => self.sync_one(),
            70..80 => {
                let ms = 1 + self.chance.below(200) as u64;
                self.rig.pass(ms);
                self.rig.stamp(0, self.rig.now.wall.0);
            }
            80..87 => self.root_takes(),
            87..94 => self.leaf_takes(),
            94 => self.scan(),
            95 if self.chance.percent(50) => self.retire(),
            95 => self.be_called(),
            96 => self.toggle_root(),
            97 => {
                self.is_disk_full = !self.is_disk_full;
                let state = if self.is_disk_full { DiskState::Full } else { DiskState::Works };
                self.rig.machine.handle_disk(state);
            }
            98 if self.chance.percent(70) => self.crash(),
            98 => self.rig.machine.handle_drain(self.rig.now),
            99 if !self.store.store.is_durable => self.go_back(),
            _ => {}
        }
        self.check();
    }

    /// Lets everything come to rest, without further failures.
    pub(crate) fn calm_down(&mut self) {
        self.is_disk_full = false;
        self.rig.machine.handle_disk(DiskState::Works);
        let settled = self.rig.now.mono + RETENTION * 3;
        // A leaf that left while this went on has its last segment and streams to let go of.
        let holds_more = |world: &Self| world.rig.disk.streams.values().any(|segments| segments.len() > 1);
        let is_settled = |world: &Self| {
            world.rig.machine.is_drained() && world.rig.machine.ledgers().len() == 1 && !holds_more(world)
        };
        while self.rig.now.mono < settled || !is_settled(self) {
            assert!(self.rig.now.mono < settled + RETENTION * 10, "{:?}", self.rig.machine.ledgers());
            if !self.link.is_connected {
                self.toggle_root();
            }
            self.producers.iter_mut().for_each(|p| p.catch_up(&mut self.rig));
            self.clients.iter_mut().for_each(|c| c.catch_up(&mut self.rig));
            self.rig.sync();
            self.rig.pass(200);
            self.check();
            while let Some(cut) = self.link.to_root.pop_front() {
                self.merge(&cut, true);
            }
            while !self.link.to_leaf.is_empty() {
                self.leaf_takes();
            }
            while let Some((stream, recut)) = self.work.scans.pop_front() {
                let found = self.rig.disk.scan(&stream, recut);
                self.rig.machine.handle_scan(self.rig.now, &stream, found);
            }
            while let Some(ledgers) = self.work.retirements.pop_front() {
                self.take_over(ledgers);
            }
            while !self.work.calls.is_empty() {
                self.be_called();
            }
            self.check();
        }
    }

    /// Every acked event is in the totals exactly once, and nothing else is.
    pub(crate) fn verify(&self) {
        let mut expected: BTreeMap<Counter, i64> = BTreeMap::new();
        let mut events = 0;
        let keyed: BTreeMap<u128, &(Counter, i64)> = self.clients.iter().flat_map(Client::events).collect();
        let sent = self.producers.iter().flat_map(Producer::events).chain(keyed.into_values());
        for (counter, delta) in sent {
            *expected.entry(counter.clone()).or_default() += delta;
            events += 1;
        }
        assert!(self.producers.iter().all(Producer::is_done) && self.clients.iter().all(|c| c.is_acked));
        assert_eq!(*self.store.store.totals(), expected);
        let ledgers = self.rig.machine.ledgers();
        assert_eq!(ledgers.len(), 1, "old streams are retired: {ledgers:?}");
        let mut sum = ledgers[0].ledger;
        self.registry.ledgers().for_each(|l| sum += l.ledger);
        assert_eq!((sum.accepted, sum.merged, sum.declared_lost), (events, events, 0));
        assert_eq!(self.rig.machine.imbalances(), 0);
        assert_eq!(self.rig.disk.streams.len(), 1, "old logs are gone");
        assert_eq!(self.rig.disk.streams[&self.rig.incarnation].len(), 1, "merged segments are gone");
    }

    fn some_events(&mut self) -> Vec<(Counter, i64)> {
        let chance = &mut self.chance;
        let count = 1 + chance.below(4);
        let delta = |chance: &mut Chance| [1, 1, 1, -1, 7, -300, 1 << 40][chance.below(7)];
        (0..count)
            .map(|_| (counter(TOPICS[chance.below(3)], ITEMS[chance.below(3)]), delta(chance)))
            .collect()
    }

    fn http(&mut self) {
        if self.clients.is_empty() || self.chance.percent(40) {
            let mut events = self.some_events();
            events.truncate(2);
            let other = self.clients.len().checked_sub(1).map(|last| &self.clients[last]);
            let client = Client::new(self.clients.len() as u64, events, other, &mut self.chance);
            self.clients.push(client);
        }
        // An old request too, now and then: its answer may have been lost.
        let one = self.chance.below(self.clients.len());
        self.clients[one].submit(&mut self.rig);
    }

    /// Somebody wants to read all that was acked of a topic.
    fn flush(&mut self) {
        let topic = topic(TOPICS[self.chance.below(3)]);
        let flush = self.promises.next_flush();
        let read =
            if self.chance.percent(50) { self.store.store.version(&topic) } else { Version::default() };
        // It may be answered at once; its answer is among the outputs then.
        if self.rig.machine.handle_topic_flush(self.rig.now, flush, &topic, read) {
            self.promises.open_flush(flush, topic);
        }
    }

    fn sync_one(&mut self) {
        if let Some((last, bytes)) = self.rig.disk.sync_one(self.rig.incarnation) {
            self.rig.machine.handle_durable(self.rig.now, last, bytes);
        }
    }

    fn root_takes(&mut self) {
        let Some(cut) = self.link.to_root.pop_front() else { return };
        match self.chance.below(20) {
            0 => self.link.answer(&cut, None),
            1 => {
                self.merge(&cut, false);
                self.link.answer(&cut, None);
            }
            2 => self.merge(&cut, false),
            _ => self.merge(&cut, true),
        }
    }

    fn merge(&mut self, cut: &Cut, is_answered: bool) {
        let outcome = self.store.merge(self.rig.now.mono, cut);
        if is_answered {
            self.link.answer(cut, Some(outcome));
        }
    }

    fn leaf_takes(&mut self) {
        if let Some(answer) = self.link.next_answer() {
            self.rig.machine.handle_outcomes(self.rig.now, vec![answer]);
        }
    }

    fn toggle_root(&mut self) {
        self.link.is_connected = !self.link.is_connected;
        if self.link.is_connected {
            self.rig.machine.handle_root_connected(self.rig.now, root_name());
        } else {
            self.link.lose();
            self.rig.machine.handle_root_lost(&root_name());
        }
    }

    fn scan(&mut self) {
        let Some((stream, recut)) = self.work.scans.pop_front() else { return };
        if self.chance.percent(20) {
            self.rig.machine.handle_scan_failed(&stream);
        } else {
            let found = self.rig.disk.scan(&stream, recut);
            self.rig.machine.handle_scan(self.rig.now, &stream, found);
        }
    }

    fn retire(&mut self) {
        let Some(ledgers) = self.work.retirements.pop_front() else { return };
        if self.chance.percent(20) {
            self.rig.machine.handle_retire_failed();
        } else {
            self.take_over(ledgers);
        }
    }

    /// A root answers the leaf's call, or does not.
    fn be_called(&mut self) {
        let Some((call, request)) = self.work.calls.pop_front() else { return };
        let is_answered = !self.chance.percent(20);
        let reply = is_answered.then(|| self.registry.answer(request, self.store.store.is_durable));
        self.rig.machine.handle_reply(self.rig.now, call, reply);
    }

    fn take_over(&mut self, ledgers: Vec<StreamLedger>) {
        for ledger in ledgers {
            self.rig.machine.handle_retired(self.rig.now, &ledger.stream);
            self.registry.retire(ledger);
        }
    }

    fn crash(&mut self) {
        self.crashes += 1;
        self.restart();
    }

    fn restart(&mut self) {
        self.rig.crash(&mut self.chance);
        self.producers.iter_mut().for_each(Producer::lose_connection);
        self.clients.iter_mut().for_each(|c| c.waits_for.clear());
        self.link.restart();
        self.work = OpenWork::default();
        self.promises.lose_flushes();
        self.is_disk_full = false;
    }

    fn go_back(&mut self) {
        self.store.go_back(self.rig.now.mono, &mut self.chance);
    }
}
