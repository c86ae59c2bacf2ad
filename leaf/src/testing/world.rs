//! A leaf between producers, HTTP clients, a root and a store, all of which fail: every rule that a leaf
//! keeps is at stake, one seed at a time.

use super::client::Client;
use super::session::Producer;
use super::{
    Chance, Rig, TestDisk, TestStore, config, counter, decoded, leaf_name, ledgers_balance, root_name, topic,
};
use crate::log::recovery::Recut;
use crate::machine::calls::CallId;
use crate::machine::{DiskState, Output};
use countree_common::cut::{Cut, Outcome};
use countree_common::document::Version;
use countree_common::key::{Counter, Topic};
use countree_common::ledger::StreamLedger;
use countree_common::limits::COUNTERS_PER_CUT;
use countree_common::session::{Seq, SessionId};
use countree_common::stream::StreamId;
use countree_common::time::{Time, WallMs};
use countree_common::wire::rpc::{Reply, Request, SessionTable};
use countree_common::wire::uplink::CutOutcome;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

const TOPICS: [&str; 3] = ["match", "show", "vote"];
const ITEMS: [&str; 3] = ["a", "b", "c"];
/// The store forgets at most so much.
const FORGETS: Duration = Duration::from_secs(1);
const RETENTION: Duration = Duration::from_secs(3);

pub(crate) struct World {
    pub(crate) chance: Chance,
    pub(crate) rig: Rig,
    store: TestStore,
    /// When it last merged anything.
    merged: Time,
    /// The store as it was before each of its latest merges.
    past: VecDeque<(Time, TestStore)>,
    pub(crate) went_back: u32,
    pub(crate) crashes: u32,
    /// How often the leaf has left.
    pub(crate) leaves: u32,
    has_left: bool,
    producers: Vec<Producer>,
    clients: Vec<Client>,
    to_root: VecDeque<Cut>,
    to_leaf: VecDeque<CutOutcome>,
    is_root_connected: bool,
    is_disk_full: bool,
    under_way: BTreeMap<(StreamId, Topic), Cut>,
    scans: VecDeque<(StreamId, Recut)>,
    retirements: VecDeque<Vec<StreamLedger>>,
    calls: VecDeque<(CallId, Request)>,
    /// How the leaf has said that sessions ended.
    published: BTreeMap<SessionId, Seq>,
    retired: BTreeMap<StreamId, StreamLedger>,
    /// Acked events in the order of their acks, until a watermark has passed them; and those, by topic.
    acked: VecDeque<(WallMs, Topic)>,
    complete: BTreeMap<Topic, u64>,
    /// Who waits for a topic, and how many of its events had been acked by then.
    flushes: BTreeMap<u64, (Topic, u64)>,
    pub(crate) flushed: u64,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let segment_bytes = [400, 2_000, 100_000][chance.below(3)];
        let rig = Rig::start(crate::machine::LeafConfig { segment_bytes, retention: RETENTION, ..config() });
        let store = TestStore::new(chance.percent(30));
        Self {
            chance,
            rig,
            store,
            past: VecDeque::new(),
            went_back: 0,
            crashes: 0,
            leaves: 0,
            has_left: false,
            merged: Time(0),
            producers: (1..=3).map(Producer::new).collect(),
            clients: Vec::new(),
            to_root: VecDeque::new(),
            to_leaf: VecDeque::new(),
            is_root_connected: true,
            is_disk_full: false,
            under_way: BTreeMap::new(),
            scans: VecDeque::new(),
            retirements: VecDeque::new(),
            calls: VecDeque::new(),
            published: BTreeMap::new(),
            retired: BTreeMap::new(),
            acked: VecDeque::new(),
            complete: BTreeMap::new(),
            flushes: BTreeMap::new(),
            flushed: 0,
        }
    }

    /// One thing happens.
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
            99 if !self.store.is_durable => self.go_back(),
            _ => {}
        }
        self.check();
    }

    /// Nothing fails any more; all comes to rest.
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
            if !self.is_root_connected {
                self.toggle_root();
            }
            self.producers.iter_mut().for_each(|p| p.catch_up(&mut self.rig));
            self.clients.iter_mut().for_each(|c| c.catch_up(&mut self.rig));
            self.rig.sync();
            self.rig.pass(200);
            self.check();
            while let Some(cut) = self.to_root.pop_front() {
                self.merge(&cut, true);
            }
            while !self.to_leaf.is_empty() {
                self.leaf_takes();
            }
            while let Some((stream, recut)) = self.scans.pop_front() {
                let found = self.rig.disk.scan(&stream, recut);
                self.rig.machine.handle_scan(self.rig.now, &stream, found);
            }
            while let Some(ledgers) = self.retirements.pop_front() {
                self.take_over(ledgers);
            }
            while !self.calls.is_empty() {
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
        assert_eq!(*self.store.totals(), expected);
        let ledgers = self.rig.machine.ledgers();
        assert_eq!(ledgers.len(), 1, "old streams are retired: {ledgers:?}");
        let mut sum = ledgers[0].ledger;
        self.retired.values().for_each(|l| sum += l.ledger);
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
        let acked = self.acked.iter().filter(|(_, of)| *of == topic).count() as u64;
        let acked = acked + self.complete.get(&topic).copied().unwrap_or_default();
        let id = self.flushed + self.flushes.len() as u64;
        let read = if self.chance.percent(50) { self.store.version(&topic) } else { Version::default() };
        if self.rig.machine.handle_topic_flush(self.rig.now, id, &topic, read) {
            self.flushes.insert(id, (topic, acked));
        }
    }

    fn check_flush(&mut self, flush: u64) {
        self.flushed += 1;
        let Some((topic, acked)) = self.flushes.remove(&flush) else { return };
        let merged = self.store.events_of_topic(&topic);
        assert!(self.went_back > 0 || merged >= acked, "a flush claims what is not merged");
    }

    fn sync_one(&mut self) {
        if let Some((last, bytes)) = self.rig.disk.sync_one(self.rig.incarnation) {
            self.rig.machine.handle_durable(self.rig.now, last, bytes);
        }
    }

    fn root_takes(&mut self) {
        let Some(cut) = self.to_root.pop_front() else { return };
        match self.chance.below(20) {
            0 => self.tell(&cut, None),
            1 => {
                self.merge(&cut, false);
                self.tell(&cut, None);
            }
            2 => self.merge(&cut, false),
            _ => self.merge(&cut, true),
        }
    }

    fn merge(&mut self, cut: &Cut, is_answered: bool) {
        let now = self.rig.now.mono;
        self.past.push_back((now, self.store.clone()));
        self.past.retain(|(at, _)| *at + FORGETS >= now);
        let outcome = self.store.merge(cut);
        if matches!(outcome, Outcome::Applied(_)) {
            self.merged = now;
        }
        if is_answered {
            self.tell(cut, Some(outcome));
        }
    }

    fn tell(&mut self, cut: &Cut, outcome: Option<Outcome>) {
        let Cut { stream, topic, from, to, .. } = cut.clone();
        self.to_leaf.push_back(CutOutcome { stream, topic, from, to, outcome });
    }

    fn leaf_takes(&mut self) {
        let Some(answer) = self.to_leaf.pop_front() else { return };
        let key = (answer.stream.clone(), answer.topic.clone());
        let is_it = |cut: &Cut| (cut.from, cut.to) == (answer.from, answer.to);
        if answer.outcome.is_some() && self.under_way.get(&key).is_some_and(is_it) {
            self.under_way.remove(&key);
        }
        self.rig.machine.handle_outcomes(self.rig.now, vec![answer]);
    }

    fn toggle_root(&mut self) {
        self.is_root_connected = !self.is_root_connected;
        if self.is_root_connected {
            self.rig.machine.handle_root_connected(self.rig.now, root_name());
        } else {
            self.to_root.clear();
            self.to_leaf.clear();
            self.rig.machine.handle_root_lost(&root_name());
        }
    }

    fn scan(&mut self) {
        let Some((stream, recut)) = self.scans.pop_front() else { return };
        if self.chance.percent(20) {
            self.rig.machine.handle_scan_failed(&stream);
        } else {
            let found = self.rig.disk.scan(&stream, recut);
            self.rig.machine.handle_scan(self.rig.now, &stream, found);
        }
    }

    fn retire(&mut self) {
        let Some(ledgers) = self.retirements.pop_front() else { return };
        if self.chance.percent(20) {
            self.rig.machine.handle_retire_failed();
        } else {
            self.take_over(ledgers);
        }
    }

    /// A root answers the leaf's call, or does not.
    fn be_called(&mut self) {
        let Some((call, request)) = self.calls.pop_front() else { return };
        let reply = match request {
            _ if self.chance.percent(20) => None,
            Request::Publish(SessionTable { sessions, .. }) => {
                self.published.extend(sessions);
                Some(Reply::Published { durable: self.store.is_durable })
            }
            Request::SessionEnd { session, .. } => {
                Some(Reply::SessionEnd(self.published.get(&session).copied()))
            }
            Request::Retire(ledgers) => {
                for ledger in ledgers {
                    assert_eq!(ledger.ledger.in_flight, 0, "{ledger:?}");
                    self.retired.insert(ledger.stream.clone(), ledger);
                }
                Some(Reply::Done)
            }
            Request::Ledgers => Some(Reply::Ledgers(self.retired.values().cloned().collect())),
            Request::Drained { .. } => Some(Reply::Drained { keeps_keys: true }),
            other => panic!("nobody wants to know {other:?}"),
        };
        self.rig.machine.handle_reply(self.rig.now, call, reply);
    }

    /// The leaf has left, and comes back another day.
    fn left(&mut self, keeps_keys: bool) {
        let now = self.rig.now.mono;
        assert!(self.rig.machine.is_drained());
        assert!(self.store.is_durable || self.merged + FORGETS < now, "the store may forget what came last");
        assert!(keeps_keys || self.clients.iter().all(|c| !c.is_acked), "its keys are nowhere else");
        self.leaves += 1;
        self.has_left = true;
    }

    fn take_over(&mut self, ledgers: Vec<StreamLedger>) {
        for ledger in ledgers {
            assert_eq!(ledger.ledger.in_flight, 0, "{ledger:?}");
            self.rig.machine.handle_retired(self.rig.now, &ledger.stream);
            self.retired.insert(ledger.stream.clone(), ledger);
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
        self.to_root.clear();
        self.to_leaf.clear();
        self.under_way.clear();
        self.scans.clear();
        self.retirements.clear();
        self.calls.clear();
        self.flushes.clear();
        self.is_root_connected = false;
        self.is_disk_full = false;
    }

    fn go_back(&mut self) {
        let now = self.rig.now.mono;
        self.past.retain(|(at, _)| *at + FORGETS >= now);
        if !self.past.is_empty() {
            let to = self.chance.below(self.past.len());
            self.store = self.past[to].1.clone();
            self.past.truncate(to);
            self.went_back += 1;
        }
    }

    /// Does what the machine asks, and checks that it may ask for it.
    fn check(&mut self) {
        self.rig.collect();
        while let Some(output) = self.rig.outputs.pop_front() {
            match output {
                Output::Send { connection, message } => {
                    let now = self.rig.now.wall;
                    let to = self.producers.iter_mut().find(|p| p.connection == Some(connection));
                    let topics = to.map(|p| p.hear(message)).unwrap_or_default();
                    self.acked.extend(topics.into_iter().map(|t| (now, t)));
                }
                Output::Submitted { submission, result } => {
                    self.clients.iter_mut().for_each(|c| c.hear(submission, &result));
                }
                Output::Cuts { message, .. } => {
                    decoded(&message).into_iter().for_each(|cut| self.check_cut(cut))
                }
                Output::Echo { stamp, .. } => self.check_echo(stamp.at),
                Output::Scan { stream, recut } => self.scans.push_back((stream, recut)),
                Output::Retire(ledgers) => self.retirements.push_back(ledgers),
                Output::DropStream(stream) => {
                    self.let_go(|disk| disk.streams.remove(&stream.incarnation).is_some());
                }
                Output::DropSegment(first) => {
                    let live = self.rig.incarnation;
                    self.let_go(|disk| disk.streams.get_mut(&live).unwrap().remove(&first).is_some());
                }
                Output::Ask { .. } | Output::Forgotten { .. } => panic!("nobody resets anything here"),
                Output::Flushed { flush, .. } => self.check_flush(flush),
                Output::Call { call, request, .. } => self.calls.push_back((call, request)),
                Output::Left { keeps_keys } => self.left(keeps_keys),
                Output::Answer { reply, .. } => panic!("nobody asked: {reply:?}"),
                Output::Alarm(message) => assert!(self.went_back > 0, "{message}"),
                Output::Close { message, .. } => panic!("a sound producer was cut off: {message}"),
            }
        }
        if std::mem::take(&mut self.has_left) {
            self.restart();
        }
        ledgers_balance(&self.rig.machine);
        if self.went_back == 0 {
            for StreamLedger { stream, ledger, .. } in self.rig.machine.ledgers() {
                assert!(ledger.merged <= self.store.events_of_stream(&stream), "{stream} claims {ledger:?}");
            }
        }
    }

    /// A part of the log goes, and nothing that a restart has to know goes with it.
    fn let_go(&mut self, remove: impl FnOnce(&mut TestDisk) -> bool) {
        // Reading the whole log each time would take most of the test's time.
        let is_checked = self.chance.percent(15);
        let carried = |disk: &TestDisk| is_checked.then(|| disk.carried(&leaf_name()));
        let before = carried(&self.rig.disk);
        assert!(remove(&mut self.rig.disk));
        assert_eq!(carried(&self.rig.disk), before);
    }

    fn check_cut(&mut self, cut: Cut) {
        assert!(cut.stream != self.rig.live() || cut.to <= self.rig.disk.durable, "only what is on disk");
        assert!(cut.from <= cut.to && cut.sums.len() <= COUNTERS_PER_CUT);
        assert!(cut.from < cut.to || (cut.sums.is_empty() && cut.events == 0));
        let names: BTreeSet<_> = cut.sums.iter().map(|s| (&s.item, &s.kind)).collect();
        assert_eq!(names.len(), cut.sums.len(), "each counter once");
        let key = (cut.stream.clone(), cut.topic.clone());
        let under_way = self.under_way.entry(key).or_insert_with(|| cut.clone());
        assert_eq!(*under_way, cut, "one at a time, repeated verbatim");
        self.to_root.push_back(cut);
    }

    fn check_echo(&mut self, at: WallMs) {
        while self.acked.front().is_some_and(|(acked, _)| *acked < at) {
            let Some((_, topic)) = self.acked.pop_front() else { break };
            *self.complete.entry(topic).or_default() += 1;
        }
        for (topic, events) in self.complete.iter().filter(|_| self.went_back == 0) {
            assert!(self.store.events_of_topic(topic) >= *events, "the echo claims what is not merged");
        }
    }
}
