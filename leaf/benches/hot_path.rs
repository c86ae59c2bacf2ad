//! Measures the cost of an event to a leaf without network and disk: decode, deduplicate, log, sum, cut, take the
//! answer. Batches are made beforehand, a root answers as fast as a store would, and each part is timed by itself.
//!
//! `cargo bench -p countree-leaf --bench hot_path [-- COUNTERS EXPONENT [SECONDS [MERGES_PER_S [PRODUCERS]]]]`

// The shell is what reads clocks; here the bench is the shell.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::panic)]

use countree_common::cluster::{ClusterView, KeyHistory, Node, NodeName, Tier};
use countree_common::cut::{Applied, Cut, Outcome};
use countree_common::delta::Delta;
use countree_common::document::Version;
use countree_common::key::{Counter, Topic};
use countree_common::session::SessionId;
use countree_common::stream::Lsn;
use countree_common::time::{Now, Time, WallMs};
use countree_common::wire::batch::BatchBuilder;
use countree_common::wire::codec;
use countree_common::wire::producer::ToLeaf;
use countree_common::wire::uplink::{CutOutcome, ToRoot};
use countree_leaf::log::carried::Carried;
use countree_leaf::machine::{ConnectionId, LeafConfig, LeafMachine, Output};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

const BATCH_EVENTS: usize = 16_384;
const TOPICS: u64 = 100;
/// Batches that share an fsync.
const GROUP: usize = 16;

/// The parts that are measured.
#[derive(Debug, Clone, Copy)]
struct Case {
    counters: u64,
    /// Zipf's; 0 is uniform.
    exponent: f64,
    seconds: f64,
    /// Counters that root and store merge in a second.
    merges: f64,
    producers: usize,
}

/// One producer's batches: first those that define the names, then the same events without.
struct Batches {
    defining: Vec<Vec<u8>>,
    steady: Vec<Vec<u8>>,
}

fn random(state: &mut u64) -> f64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64
}

impl Batches {
    fn new(case: &Case, shares: &[f64], seed: u64) -> Self {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let count = (3 * case.counters as usize / BATCH_EVENTS).clamp(256, 2_048) / case.producers;
        let mut ids = vec![u32::MAX; case.counters as usize];
        let mut next = 0;
        let (mut defining, mut steady) = (Vec::new(), Vec::new());
        let total = shares.last().copied().unwrap_or(0.0);
        for _ in 0..count {
            let (mut first, mut again) = (BatchBuilder::default(), BatchBuilder::default());
            for _ in 0..BATCH_EVENTS {
                let draw = random(&mut state);
                let counter = match total {
                    0.0 => (draw * case.counters as f64) as usize,
                    _ => shares.partition_point(|s| *s < draw * total).min(ids.len() - 1),
                };
                if ids[counter] == u32::MAX {
                    ids[counter] = next;
                    next += 1;
                    // 24 bytes of names.
                    let (topic, item) =
                        (format!("t-{:04}", counter as u64 % TOPICS), format!("item-{counter:09}"));
                    first.name(&Counter::new(&topic, &item, "like").unwrap());
                }
                first.event(ids[counter], Delta::ONE);
                again.event(ids[counter], Delta::ONE);
            }
            defining.push(first.build(0));
            steady.push(again.build(0));
        }
        Self { defining, steady }
    }
}

/// A root and its store.
#[derive(Default)]
struct FakeRoot {
    /// Each topic's merges, merged events and last merged LSN.
    documents: HashMap<Topic, (u64, u64, Lsn)>,
    waiting: VecDeque<Cut>,
    room: f64,
    merged: u64,
}

impl FakeRoot {
    fn answers(&mut self, elapsed: f64, merges: f64) -> Vec<CutOutcome> {
        self.room = (self.room + elapsed * merges).min(merges / 10.0);
        let mut answers = Vec::new();
        while self.room > 0.0
            && let Some(cut) = self.waiting.pop_front()
        {
            let (number, events, lsn) = self.documents.entry(cut.topic.clone()).or_default();
            let version = |number| Version { era: 0, number };
            let outcome = if *lsn == cut.from {
                self.room -= cut.sums.len() as f64 + 1.0;
                self.merged += cut.sums.len() as u64;
                *number += 1;
                *events += cut.events;
                *lsn = cut.to;
                let (base, version) = (version(*number - 1), version(*number));
                let totals = vec![1; cut.sums.len()];
                Outcome::Applied(Applied { version, base, totals, events: *events, durable: true })
            } else {
                Outcome::Have { lsn: *lsn, events: *events, version: version(*number) }
            };
            let Cut { stream, topic, from, to, .. } = cut;
            answers.push(CutOutcome { stream, topic, from, to, outcome: Some(outcome) });
        }
        answers
    }
}

/// The time that each part takes.
#[derive(Default)]
struct Spent(BTreeMap<&'static str, Duration>);

impl Spent {
    fn on<T>(&mut self, part: &'static str, work: impl FnOnce() -> T) -> T {
        let began = on_cpu();
        let result = work();
        *self.0.entry(part).or_default() += on_cpu() - began;
        result
    }
}

/// The processor time of this thread, so that others on the machine don't count.
fn on_cpu() -> Duration {
    let spent = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(spent.split(' ').next().unwrap().parse().unwrap())
}

struct Bench {
    case: Case,
    machine: LeafMachine,
    began: Instant,
    answered: Instant,
    root: FakeRoot,
    root_name: NodeName,
    spent: Spent,
    sequences: Vec<u64>,
    logged: u64,
    since_sync: usize,
}

impl Bench {
    fn new(case: Case) -> Self {
        let name = |n: &str| NodeName::new(n).unwrap();
        let config = LeafConfig {
            leaf: name("leaf-0"),
            window: Duration::from_millis(100),
            horizon: Duration::from_secs(600),
            retention: Duration::from_secs(10),
            log_bytes: 1 << 40,
            segment_bytes: 128 << 20,
            capacity: 2_000_000,
        };
        let now = Now { mono: Time(0), wall: WallMs(1) };
        let machine = LeafMachine::new(config, 1, &Carried::default(), BTreeMap::new(), now).unwrap();
        let mut bench = Self {
            case,
            machine,
            began: Instant::now(),
            answered: Instant::now(),
            root: FakeRoot::default(),
            root_name: name("root-0"),
            spent: Spent::default(),
            sequences: vec![0; case.producers],
            logged: 0,
            since_sync: 0,
        };
        let root = Node {
            name: bench.root_name.clone(),
            tier: Tier::Root,
            quic: ([127, 0, 0, 1], 1).into(),
            http: None,
            incarnation: 1,
        };
        let keys = KeyHistory { owners: vec![name("leaf-0")], ..KeyHistory::default() };
        bench.machine.handle_view(ClusterView {
            epoch: 1,
            nodes: vec![root],
            keys,
            ..ClusterView::default()
        });
        bench.machine.handle_root_connected(now, bench.root_name.clone());
        for producer in 0..case.producers {
            bench.machine.handle_connected(ConnectionId(producer as u64));
            let open = ToLeaf::Open(SessionId(producer as u128 + 1));
            bench.machine.handle_message(now, ConnectionId(producer as u64), open);
        }
        bench.sync();
        bench
    }

    fn now(&self) -> Now {
        let micros = self.began.elapsed().as_micros() as u64;
        Now { mono: Time(micros), wall: WallMs(1 + micros / 1_000) }
    }

    fn sync(&mut self) {
        let now = self.now();
        let (mut last, mut bytes) = (0, 0);
        while let Some(append) = self.machine.next_append() {
            last = append.last;
            bytes += append.bytes.len() as u64;
        }
        self.logged += bytes;
        self.spent.on("durable, acks, offer", || self.machine.handle_durable(now, last, bytes));
    }

    fn batch(&mut self, producer: usize, body: &mut [u8]) {
        self.sequences[producer] += 1;
        body[..8].copy_from_slice(&self.sequences[producer].to_le_bytes());
        let now = self.now();
        self.spent.on("batch", || self.machine.handle_batch(now, ConnectionId(producer as u64), body));
        self.since_sync += 1;
        if self.since_sync == GROUP {
            self.since_sync = 0;
            self.sync();
        }
        let now = self.now();
        if self.machine.next_timeout() <= now.mono {
            self.spent.on("window end", || self.machine.handle_time(now));
        }
        self.outputs();
        let elapsed = self.answered.elapsed().as_secs_f64();
        self.answered = Instant::now();
        let answers = self.root.answers(elapsed, self.case.merges);
        if !answers.is_empty() {
            let bytes = codec::encode(&answers).unwrap();
            let answers = self.spent.on("outcomes, decoded", || codec::decode(&bytes).unwrap());
            let now = self.now();
            self.spent.on("outcomes, cuts", || self.machine.handle_outcomes(now, answers));
        }
    }

    fn outputs(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Cuts { message, .. } => {
                    let ToRoot::Cuts(cuts) = codec::decode(&message).unwrap() else { continue };
                    self.root.waiting.extend(cuts);
                }
                Output::Close { message, .. } | Output::Alarm(message) => panic!("{message}"),
                _ => {}
            }
        }
    }

    /// Sends batches in turn, until the time is over or each was sent once.
    fn send(&mut self, all: &mut [Vec<Vec<u8>>], seconds: f64) -> u64 {
        let began = Instant::now();
        let mut sent = 0;
        loop {
            for turn in 0..all[0].len() {
                for (producer, of_one) in all.iter_mut().enumerate() {
                    self.batch(producer, &mut of_one[turn]);
                    sent += BATCH_EVENTS as u64;
                }
                if seconds > 0.0 && began.elapsed().as_secs_f64() > seconds {
                    return sent;
                }
            }
            if seconds == 0.0 {
                return sent;
            }
        }
    }
}

fn resident() -> f64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<f64>().unwrap() * 4_096.0
}

fn run(case: Case) {
    let mut shares = Vec::new();
    if case.exponent > 0.0 {
        let mut sum = 0.0;
        shares.extend((1..=case.counters).map(|rank| {
            sum += (rank as f64).powf(-case.exponent);
            sum
        }));
    }
    let batches = (0..case.producers).map(|p| Batches::new(&case, &shares, p as u64 + 1));
    let (mut defining, mut steady): (Vec<_>, Vec<_>) = batches.map(|b| (b.defining, b.steady)).unzip();
    drop(shares);
    let before = resident();
    let mut bench = Bench::new(case);
    let names_began = Instant::now();
    let defined = bench.send(&mut defining, 0.0);
    let names_took = names_began.elapsed().as_secs_f64();
    bench.spent = Spent::default();
    bench.logged = 0;
    bench.root.merged = 0;
    let events = bench.send(&mut steady, case.seconds) as f64;
    let counters = bench.machine.stats(WallMs(0)).entries as f64;
    let memory = (resident() - before) / counters;
    let spent: Duration = bench.spent.0.values().sum();
    println!(
        "\n{} counters, Zipf {}, {} producers: {:.1} M events per core-second; {:.0} ns per event with its name at first; \
         {:.1} bytes of log per event; {memory:.0} bytes per counter; {:.2} M counters merged per second",
        counters,
        case.exponent,
        case.producers,
        events / spent.as_secs_f64() / 1e6,
        names_took / defined as f64 * 1e9,
        bench.logged as f64 / events,
        bench.root.merged as f64 / case.seconds / 1e6,
    );
    for (part, time) in &bench.spent.0 {
        println!("  {part:24} {:7.2} ns", time.as_secs_f64() * 1e9 / events);
    }
}

fn main() {
    let numbers: Vec<f64> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    let or = |i: usize, default: f64| numbers.get(i).copied().unwrap_or(default);
    let case = |counters, exponent| Case {
        counters,
        exponent,
        seconds: or(2, 3.0),
        merges: or(3, 1e6),
        producers: or(4, 1.0) as usize,
    };
    match numbers.as_slice() {
        [] => [(1e4, 1.1), (1e6, 1.1), (1e6, 0.0), (1e7, 0.0)].map(|(n, s)| run(case(n as u64, s))).to_vec(),
        _ => vec![run(case(or(0, 1e6) as u64, or(1, 1.1)))],
    };
}
