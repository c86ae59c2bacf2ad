//! The leaves' logs of a test: every cut ever made, so that any state of the store can be held
//! against it, and what a store forgot can be sent again.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]

use countree_common::cluster::NodeName;
use countree_common::cut::{CounterSum, Cut, Outcome};
use countree_common::document::CounterTotal;
use countree_common::key::{Item, Kind, Topic};
use countree_common::stream::StreamId;
use countree_root::store::{Redis, Store};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

const TOPICS: u64 = 3;
const STREAMS: u64 = 3;
const ITEMS: u64 = 8;
/// Many fields, and no more than the scripts write with one command.
const MANY_ITEMS: u64 = 2_100;
/// A cut of many items comes this often.
const MANY_EVERY: u64 = 64;

/// Xorshift64*: the same numbers for a seed on every machine.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 16) % end
    }
}

/// The cuts of one (topic, stream).
struct Lane {
    topic: Topic,
    stream: StreamId,
    cuts: Vec<Cut>,
    /// The number of them that the store has, as far as it said.
    merged: usize,
}

impl Lane {
    fn grow(&mut self, random: &mut Random) {
        let from = self.cuts.last().map_or(0, |cut| cut.to);
        let to = from + 1 + random.below(5);
        let items = if random.below(MANY_EVERY) == 0 { MANY_ITEMS } else { 1 + random.below(ITEMS) };
        let sum = |item| CounterSum {
            item: Item::new(&format!("item {item}")).unwrap(),
            kind: Kind::new("like").unwrap(),
            // Large and distinct: any set of cuts has a sum of its own.
            delta: random.below(1 << 40) as i64 - (1 << 39),
        };
        let sums = (0..items).map(sum).collect();
        let (stream, topic) = (self.stream.clone(), self.topic.clone());
        self.cuts.push(Cut { stream, topic, from, to, sums, events: to - from, era: 0 });
    }

    /// The number of cuts that make up the first `lsn` LSNs.
    fn cuts_to(&self, lsn: u64) -> usize {
        let at = self.cuts.iter().position(|cut| cut.to == lsn).map(|at| at + 1);
        at.or((lsn == 0).then_some(0)).unwrap_or_else(|| panic!("LSN {lsn} is between cuts"))
    }
}

/// Every cut that was ever made.
pub struct History {
    lanes: Vec<Lane>,
    random: Random,
    /// Answers that never came.
    pub unknown: usize,
    /// Cuts that the store had confirmed and then did not have.
    pub forgotten: usize,
}

impl History {
    pub fn new(seed: u64) -> Self {
        let lane = |topic, stream| Lane {
            topic: topic_name(topic),
            stream: StreamId { leaf: NodeName::new(&format!("leaf-{stream}")).unwrap(), incarnation: 1 },
            cuts: Vec::new(),
            merged: 0,
        };
        let lanes = (0..TOPICS).flat_map(|t| (0..STREAMS).map(move |s| lane(t, s))).collect();
        Self { lanes, random: Random::new(seed), unknown: 0, forgotten: 0 }
    }

    /// Cuts that the store has confirmed.
    pub fn merged(&self) -> usize {
        self.lanes.iter().map(|lane| lane.merged).sum()
    }

    /// Sends each lane's next cut, a new one when there is none left and more are `wanted`. One without an
    /// answer stays the next, as it is. Returns whether anything was sent.
    pub async fn step(&mut self, store: &impl Store, wanted: bool) -> bool {
        let mut sent = Vec::new();
        let mut cuts = Vec::new();
        for (at, lane) in self.lanes.iter_mut().enumerate() {
            if lane.merged == lane.cuts.len() && wanted {
                lane.grow(&mut self.random);
            }
            if let Some(cut) = lane.cuts.get(lane.merged) {
                sent.push(at);
                cuts.push(cut.clone());
            }
        }
        let answers = store.merge(Arc::from(cuts)).await;
        for (at, answer) in sent.iter().zip(answers) {
            let lane = &mut self.lanes[*at];
            match answer {
                Ok(Outcome::Applied(_)) => lane.merged += 1,
                Ok(Outcome::Have { lsn, .. }) => {
                    let has = lane.cuts_to(lsn);
                    self.forgotten += lane.merged.saturating_sub(has);
                    lane.merged = has;
                }
                Ok(Outcome::Overflow) => panic!("the sums are small"),
                Err(_) => self.unknown += 1,
            }
        }
        !sent.is_empty()
    }

    /// Holds every document against the cuts that it says it has: totals, events, version. Then the store
    /// goes on from there. Returns how many cuts it has.
    pub async fn check(&mut self, store: &impl Store) -> usize {
        for topic in 0..TOPICS {
            let topic = topic_name(topic);
            let mut expected = BTreeMap::<Item, i64>::new();
            let mut merges = 0;
            for lane in self.lanes.iter_mut().filter(|lane| lane.topic == topic) {
                let (lsn, events) = stands_at(store, lane).await;
                let has = lane.cuts_to(lsn);
                assert_eq!(events, lane.cuts[..has].iter().map(|cut| cut.events).sum::<u64>());
                for sum in lane.cuts[..has].iter().flat_map(|cut| &cut.sums) {
                    *expected.entry(sum.item.clone()).or_default() += sum.delta;
                }
                self.forgotten += lane.merged.saturating_sub(has);
                lane.merged = has;
                merges += has;
            }
            let found = store.read(&topic).await.unwrap();
            let version = found.as_ref().map_or(0, |found| found.version.number);
            assert_eq!(version, merges as u64, "{topic}");
            let found = found.into_iter().flat_map(|found| found.totals);
            let found: BTreeMap<_, _> = found.map(|CounterTotal { item, total, .. }| (item, total)).collect();
            assert!(found == expected, "{topic} holds other totals than the cuts that it says it has");
        }
        self.merged()
    }

    /// Sends what the store does not have, until it has everything, and holds it against that.
    pub async fn finish(&mut self, store: &impl Store) {
        for _ in 0..10_000 {
            if !self.step(store, false).await {
                break;
            }
        }
        self.check(store).await;
        assert!(self.lanes.iter().all(|lane| lane.merged == lane.cuts.len()), "some cuts never went in");
    }
}

fn topic_name(number: u64) -> Topic {
    Topic::new(&format!("topic {number}")).unwrap()
}

async fn stands_at(store: &impl Store, lane: &Lane) -> (u64, u64) {
    let (stream, topic) = (lane.stream.clone(), lane.topic.clone());
    let probe = Cut { stream, topic, from: 0, to: 0, sums: Vec::new(), events: 0, era: 0 };
    // A server that has just come back may need a new connection first.
    for _ in 0..100 {
        if let Ok(Outcome::Have { lsn, events, .. }) = store.merge(Arc::from([probe.clone()])).await[0] {
            return (lsn, events);
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the store does not say where it stands");
}

/// Leaves that merge all the time.
pub struct Feeding {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<History>,
}

impl Feeding {
    pub fn start(mut history: History, store: &Redis) -> Self {
        let (stop, store) = (Arc::new(AtomicBool::new(false)), store.clone());
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            while !stopped.load(Relaxed) {
                history.step(&store, true).await;
            }
            history
        });
        Self { stop, task }
    }

    pub async fn stop(self) -> History {
        self.stop.store(true, Relaxed);
        self.task.await.unwrap()
    }
}
