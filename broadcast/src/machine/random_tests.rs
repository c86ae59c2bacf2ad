//! Random audiences over random roots: despite all losses and slow viewers, everyone ends at the newest
//! totals.

use super::testing::*;
use super::*;
use countree_common::document::{CounterTotal, Update};
use countree_common::key::{Item, Kind};
use countree_common::wire::publish::ToRoot;
use countree_common::wire::publish::{FromRoot, snapshot_parts};
use std::collections::BTreeMap;
use std::time::Duration;

const TOPICS: [&str; 3] = ["a", "b", "c"];
const TICK: Duration = Duration::from_millis(100);

/// xorshift64*: the same numbers for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % n
    }
    fn percent(&mut self, p: u64) -> bool {
        self.below(100) < p
    }
}

/// The store as roots see it.
#[derive(Default)]
struct Truth {
    version: Version,
    totals: BTreeMap<String, i64>,
}

fn counter(item: &str, total: i64) -> CounterTotal {
    CounterTotal { item: Item::new(item).unwrap(), kind: Kind::new("like").unwrap(), total }
}

impl Truth {
    fn merge(&mut self, name: &str, dice: &mut Dice) -> FromRoot {
        let base = self.version;
        self.version.number += 1;
        if dice.percent(1) {
            // The store went back in time: fewer versions, an older total, a higher era.
            self.version = version(base.era + 1, base.number.saturating_sub(dice.below(3)).max(1));
            self.totals.values_mut().for_each(|t| *t -= 1);
        }
        // Sometimes far more counters than a datagram holds.
        let many = if dice.percent(3) { 300 } else { 1 + dice.below(4) };
        let mut changed = BTreeMap::new();
        for _ in 0..many {
            let item = format!("item-{}", dice.below(400));
            let total = self.totals.entry(item.clone()).or_default();
            *total += 1;
            changed.insert(item, *total);
        }
        let totals = changed.iter().map(|(item, total)| counter(item, *total)).collect();
        FromRoot::Update(Update { topic: topic(name), base, version: self.version, totals })
    }

    fn snapshot(&self, name: &str, dice: &mut Dice) -> Vec<FromRoot> {
        let totals = self.totals.iter().map(|(item, total)| counter(item, *total)).collect();
        let bytes = 50 + dice.below(10_000) as usize;
        let parts = snapshot_parts(&topic(name), self.version, totals, bytes);
        parts.into_iter().map(FromRoot::Snapshot).collect()
    }
}

struct World {
    dice: Dice,
    machine: BroadcastMachine,
    audience: Audience,
    truth: BTreeMap<&'static str, Truth>,
    watching: BTreeMap<ViewerId, Vec<&'static str>>,
    interest: BTreeMap<&'static str, bool>,
    stalled: std::collections::BTreeSet<ViewerId>,
    now: Time,
    loss_percent: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let loss_percent = dice.below(60);
        Self {
            dice,
            machine: connected(),
            audience: Audience::new(),
            truth: TOPICS.iter().map(|t| (*t, Truth::default())).collect(),
            watching: BTreeMap::new(),
            interest: BTreeMap::new(),
            stalled: Default::default(),
            now: Time(0),
            loss_percent,
        }
    }

    /// Carries out the machine's outputs; subscriptions are answered with snapshots.
    fn settle_outputs(&mut self) {
        loop {
            let outputs = drain(&mut self.machine);
            if outputs.is_empty() {
                return;
            }
            let messages = to_roots(&outputs);
            let (dice, loss) = (&mut self.dice, self.loss_percent);
            self.audience.take(outputs, || dice.percent(loss));
            for (_, message) in messages {
                let (topics, wanted) = match message {
                    ToRoot::Interest(topics) => (topics, true),
                    ToRoot::Disinterest(topics) => (topics, false),
                };
                for name in TOPICS.into_iter().filter(|n| topics.contains(&topic(n))) {
                    self.interest.insert(name, wanted);
                    if wanted {
                        for part in self.truth[name].snapshot(name, &mut self.dice) {
                            self.machine.handle_from_root(&root("root-0"), part, self.now);
                        }
                    }
                }
            }
            self.serve(false);
        }
    }

    fn serve(&mut self, tick: bool) {
        let (stalled, dice) = (&self.stalled, &mut self.dice);
        let room = |viewer: ViewerId| {
            if stalled.contains(&viewer) || dice.percent(10) {
                NO_ROOM
            } else if viewer.0.is_multiple_of(3) {
                STREAM_ONLY
            } else {
                ROOMY
            }
        };
        if tick {
            self.machine.handle_tick(self.now, room);
        } else {
            self.machine.handle_arrivals(self.now, room);
        }
    }

    fn step(&mut self, n: u64, merging: bool) {
        let name = TOPICS[self.dice.below(3) as usize];
        if merging && self.dice.percent(80) {
            let update = self.truth.get_mut(name).unwrap().merge(name, &mut self.dice);
            // Updates get lost only between links; here they stand for any gap.
            if self.interest.get(name) == Some(&true) && !self.dice.percent(3) {
                self.machine.handle_from_root(&root("root-0"), update, self.now);
            }
        }
        if merging && self.dice.percent(8) {
            let format = if n.is_multiple_of(3) { Format::Events } else { Format::Frames };
            let viewer = self.audience.join(&mut self.machine, n, format);
            let wanted = if format == Format::Events { vec![name] } else { TOPICS.to_vec() };
            let topics = wanted.iter().map(|t| topic(t)).collect();
            self.machine.handle_subscribe(viewer, topics, Since::Nothing, self.now);
            self.watching.insert(viewer, wanted);
            if self.dice.percent(30) {
                self.stalled.insert(viewer);
            }
        }
        if merging && self.dice.percent(3) && self.watching.len() > 5 {
            let (viewer, _) = self.watching.pop_first().unwrap();
            self.machine.handle_viewer_left(viewer, self.now);
        }
        if merging && self.dice.percent(2) {
            self.machine.handle_root_lost(&root("root-0"));
            self.interest.clear();
            self.machine.handle_root_connected(&root("root-0"), self.now);
        }
        self.serve(false);
        self.settle_outputs();
        if self.dice.percent(50) {
            self.now = self.now + TICK;
            self.serve(true);
            self.settle_outputs();
        }
    }

    /// Sends an update of every topic, so that none lags behind for lack of one.
    fn last_words(&mut self) {
        for name in TOPICS {
            let update = self.truth.get_mut(name).unwrap().merge(name, &mut self.dice);
            if self.interest.get(name) == Some(&true) {
                self.machine.handle_from_root(&root("root-0"), update, self.now);
            }
        }
        self.settle_outputs();
    }

    fn check(&self, seed: u64) {
        assert!(self.watching.len() > 3, "seed {seed} watches nothing");
        for (viewer, topics) in &self.watching {
            for name in topics {
                let (seen, truth) = (self.audience.seen(*viewer, name), &self.truth[name]);
                let totals: BTreeMap<_, _> =
                    seen.totals.into_iter().map(|(item, (_, total))| (item, total)).collect();
                assert_eq!(seen.version, truth.version, "seed {seed}, {viewer:?}, topic {name}");
                assert_eq!(totals, truth.totals, "seed {seed}, {viewer:?}, topic {name}");
            }
        }
    }
}

#[test]
fn whatever_is_lost_and_whoever_is_slow_everyone_ends_at_the_newest_totals() {
    for seed in 0..24 {
        let mut world = World::new(seed);
        for n in 0..400 {
            world.step(n, true);
        }
        world.last_words();
        world.stalled.clear();
        for n in 0..60 {
            world.step(n, false);
        }
        world.check(seed);
    }
}
