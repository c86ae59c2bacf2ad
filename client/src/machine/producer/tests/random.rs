//! Random traffic and faults: under all of them, acked events are counted once, and nothing twice.

use super::super::*;
use super::fixture::view;
use super::model::{BAD, Leaf};
use countree_common::cluster::NodeName;
use countree_common::delta::Delta;
use countree_common::key::Counter;
use countree_common::session::{Seq, SessionId};
use countree_common::time::Time;
use countree_common::wire::producer::{FromLeaf, ToLeaf};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// One leaf's side of the network: frames and answers under way.
#[derive(Default)]
struct Wire {
    link: Option<LinkId>,
    connecting: Option<LinkId>,
    up: Vec<Outgoing>,
    down: Vec<FromLeaf>,
}

struct World {
    rng: Rng,
    now: Time,
    machine: ProducerMachine,
    leaves: BTreeMap<NodeName, (Leaf, Wire)>,
    /// The tables of sessions that leaves published before they went for good.
    tables: BTreeMap<NodeName, BTreeMap<SessionId, Seq>>,
    names: HashMap<Counter, NameId>,
    epoch: u64,
    sent: u64,
    bad_batches_possible: bool,
    tally: BTreeMap<&'static str, u64>,
    flushed: u64,
}

const LEAVES: [&str; 3] = ["leaf-0", "leaf-1", "leaf-2"];

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng(seed);
        let options = ProducerOptions {
            batch_events: 1 + rng.below(6) as usize,
            in_flight_batches: 1 + rng.below(8) as usize,
            ..ProducerOptions::default()
        };
        let leaves = LEAVES.map(|l| (NodeName::new(l).unwrap(), (Leaf::default(), Wire::default())));
        let mut world = Self {
            now: Time(1_000_000),
            machine: ProducerMachine::new(options, u128::from(seed) << 64),
            leaves: leaves.into(),
            tables: BTreeMap::new(),
            names: HashMap::new(),
            epoch: 1,
            sent: 0,
            bad_batches_possible: rng.below(2) == 0,
            tally: BTreeMap::new(),
            flushed: 0,
            rng,
        };
        world.machine.handle_view(world.now, &view(1, &LEAVES));
        world
    }

    /// Every event has a delta of its own, so that counted ones can be told apart.
    fn send(&mut self) {
        let mut intake = Intake { first_queued: self.now, ..Intake::default() };
        if self.rng.below(50) == 0 {
            intake.restarts_names = true;
            self.names.clear();
        }
        for _ in 0..=self.rng.below(8) {
            let item = format!("i{}", self.rng.below(20));
            let counter = Counter::new("t", &item, "like").unwrap();
            let next = self.names.len() as NameId;
            let id = *self.names.entry(counter.clone()).or_insert_with(|| {
                intake.names.push(counter);
                next
            });
            self.sent += 1;
            let is_bad = self.bad_batches_possible && self.rng.below(60) == 0;
            let delta = self.sent as i64 + if is_bad { BAD } else { 0 };
            intake.events.push((id, Delta::new(delta).unwrap()));
        }
        self.machine.handle_intake(self.now, &mut intake);
    }

    fn drain(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Connect { leaf, link, .. } => {
                    self.leaves.get_mut(&leaf).unwrap().1.connecting = Some(link)
                }
                Output::Send { leaf, link, frame } => {
                    let wire = &mut self.leaves.get_mut(&leaf).unwrap().1;
                    if wire.link == Some(link) {
                        wire.up.push(frame);
                    }
                }
                Output::Disconnect { leaf, .. } => {
                    let (leaf, wire) = self.leaves.get_mut(&leaf).unwrap();
                    *wire = Wire::default();
                    leaf.connect();
                }
                Output::Resolved(Resolved { events, fate, .. }) => {
                    let fate = match fate {
                        Fate::Acked => "acked",
                        Fate::Rejected(_) => "rejected",
                        Fate::InDoubt(_) => "in doubt",
                    };
                    *self.tally.entry(fate).or_default() += events;
                }
                Output::Flushed(_) => self.flushed += 1,
            }
        }
    }

    fn lose(&mut self, name: &NodeName) {
        let (leaf, wire) = self.leaves.get_mut(name).unwrap();
        let link = wire.link.take().or(wire.connecting.take());
        *wire = Wire::default();
        leaf.connect();
        if let Some(link) = link {
            self.machine.handle_lost(self.now, name, link, "lost".into());
        }
    }

    /// Some of what is under way to and from a leaf arrives, or its log reaches the disk.
    fn run(&mut self, name: &NodeName) {
        if self.tables.contains_key(name) {
            return self.lose(name);
        }
        let (leaf, wire) = self.leaves.get_mut(name).unwrap();
        if let Some(link) = wire.connecting.take() {
            wire.link = Some(link);
            leaf.connect();
            return self.machine.handle_connected(self.now, name, link);
        }
        let Some(link) = wire.link else { return };
        let arriving = self.rng.below(wire.up.len() as u64 + 1) as usize;
        for frame in wire.up.drain(..arriving) {
            match frame {
                Outgoing::Message(ToLeaf::FindSessionEnd { leaf: gone, session }) => {
                    let last = self.tables.get(&gone).and_then(|table| table.get(&session)).copied();
                    leaf.outbox.push(FromLeaf::SessionEnd { session, last });
                }
                Outgoing::Message(message) => leaf.message(&message),
                Outgoing::Batch(body) => leaf.batch(&body),
            }
        }
        if self.rng.below(2) == 0 {
            leaf.sync();
        }
        wire.down.append(&mut leaf.outbox);
        let arriving = self.rng.below(wire.down.len() as u64 + 1) as usize;
        let messages: Vec<_> = wire.down.drain(..arriving).collect();
        for message in messages {
            self.machine.handle_message(self.now, name, link, message);
        }
    }

    fn fault(&mut self, expiry: bool) {
        let names: Vec<_> = self.leaves.keys().cloned().collect();
        let name = names[self.rng.below(names.len() as u64) as usize].clone();
        match self.rng.below(if expiry { 7 } else { 6 }) {
            0 => self.lose(&name),
            1 => {
                self.leaves.get_mut(&name).unwrap().0.crash();
                self.lose(&name);
            }
            2 => {
                let leaf = &mut self.leaves.get_mut(&name).unwrap().0;
                leaf.is_busy = !leaf.is_busy;
            }
            3 => {
                self.epoch += 1;
                let mut present = self.remaining();
                present.retain(|_| self.rng.below(3) > 0);
                self.machine.handle_view(self.now, &view(self.epoch, &present));
            }
            4 => self.leaves.get_mut(&name).unwrap().0.drain(),
            5 => self.leave_for_good(&name),
            _ => self.leaves.get_mut(&name).unwrap().0.expire_all(),
        }
    }

    /// The leaves that are not gone for good.
    fn remaining(&self) -> Vec<&'static str> {
        LEAVES.into_iter().filter(|l| !self.tables.contains_key(&NodeName::new(l).unwrap())).collect()
    }

    /// A leaf that is sealed publishes its table and goes, with its disk.
    fn leave_for_good(&mut self, name: &NodeName) {
        if self.remaining().len() > 1
            && let Some(table) = self.leaves[name].0.table().cloned()
        {
            self.tables.entry(name.clone()).or_insert(table);
            self.lose(name);
            self.epoch += 1;
            self.machine.handle_view(self.now, &view(self.epoch, &self.remaining()));
        }
    }

    fn step(&mut self) {
        let names: Vec<_> = self.leaves.keys().cloned().collect();
        for name in &names {
            self.run(name);
            self.drain();
        }
        self.now = self.now + Duration::from_millis(1 + self.rng.below(5));
        self.machine.handle_time(self.now);
        self.drain();
    }

    /// Ends all faults and settles everything that can be settled.
    fn settle(&mut self) {
        for name in self.leaves.keys().cloned().collect::<Vec<_>>() {
            let leaf = &mut self.leaves.get_mut(&name).unwrap().0;
            leaf.is_busy = false;
            if leaf.is_draining && !self.tables.contains_key(&name) {
                leaf.crash();
                self.lose(&name);
            }
        }
        let mut view = view(self.epoch + 1, &self.remaining());
        view.nodes.iter_mut().for_each(|n| n.incarnation += 1);
        self.machine.handle_view(self.now, &view);
        self.machine.handle_flush(self.now);
        for step in 0..5_000 {
            self.step();
            if self.machine.is_empty() {
                return;
            }
            // A session that was forgotten before its leaf left is unknown everywhere.
            if step == 4_000 {
                self.now = self.now + ProducerOptions::default().give_up;
            }
        }
        panic!("not settled: {:?}", self.machine);
    }

    fn check(&self, seed: u64) {
        let of = |fate| self.tally.get(fate).copied().unwrap_or_default();
        let (acked, rejected, in_doubt) = (of("acked"), of("rejected"), of("in doubt"));
        assert_eq!(acked + rejected + in_doubt, self.sent, "seed {seed}: an event without a fate");
        assert_eq!(self.flushed, 1, "seed {seed}");
        let mut counted = BTreeSet::new();
        for (_, delta) in self.leaves.values().flat_map(|(leaf, _)| leaf.counted()) {
            assert!(counted.insert(*delta), "seed {seed}: event {delta} counted twice");
        }
        let counted = counted.len() as u64;
        assert!(acked <= counted, "seed {seed}: {acked} acked, {counted} counted");
        assert!(counted <= acked + in_doubt, "seed {seed}: a rejected event was counted");
    }
}

fn run(seed: u64, expiry: bool) -> World {
    let mut world = World::new(seed);
    for _ in 0..300 {
        if world.rng.below(3) > 0 {
            world.send();
        }
        if world.rng.below(12) == 0 {
            world.fault(expiry);
        }
        world.drain();
        world.step();
    }
    world.settle();
    world.check(seed);
    world
}

#[test]
fn acked_events_are_counted_once_and_nothing_twice() {
    let mut acked = 0;
    for seed in 0..200 {
        let world = run(seed, false);
        assert_eq!(world.tally.get("in doubt"), None, "seed {seed}: every leaf came back");
        assert!(world.bad_batches_possible || !world.tally.contains_key("rejected"), "seed {seed}");
        acked += world.tally["acked"];
    }
    assert!(acked > 100_000, "{acked}");
}

#[test]
fn forgotten_sessions_leave_events_in_doubt_and_nothing_counted_twice() {
    let in_doubt: u64 =
        (1_000..1_100).filter_map(|seed| run(seed, true).tally.get("in doubt").copied()).sum();
    assert!(in_doubt > 0);
}

#[test]
fn the_same_inputs_have_the_same_outcome() {
    for seed in 0..5 {
        assert_eq!(run(seed, true).tally, run(seed, true).tally);
    }
}
