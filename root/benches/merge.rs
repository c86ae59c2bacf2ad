//! Counters per second that a store takes, and what each costs the server: `cargo bench -p countree-root --bench
//! merge`.
//!
//! Every batch holds one cut of each leaf for each topic; the counters of a cut are drawn from the topic's items.
//! Without redis-server only the embedded store is measured.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a measurement")]

use countree_common::cluster::NodeName;
use countree_common::config::manifest::StoreUrl;
use countree_common::cut::{CounterSum, Cut, Outcome};
use countree_common::key::{Item, Kind, Topic};
use countree_common::stream::StreamId;
use countree_root::store::{Embedded, Redis, Store};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Batches that are under way at a time, as in a root.
const UNDER_WAY: u64 = 4;
const LEAVES: u64 = 2;
const RUNS: usize = 5;

/// The cuts that are merged.
struct Load {
    name: &'static str,
    topics: u64,
    items: u64,
    counters: u64,
    batches: u64,
}

const LOADS: [Load; 3] = [
    Load { name: "500 of 1,000 items", topics: 10, items: 1_000, counters: 500, batches: 100 },
    Load { name: "500 of 100,000 items", topics: 10, items: 100_000, counters: 500, batches: 100 },
    Load { name: "5 of 10 items, 1,000 topics", topics: 1_000, items: 10, counters: 5, batches: 100 },
];

impl Load {
    /// The batch of that number, of the lane's own topics.
    fn batch(&self, lane: u64, number: u64) -> Arc<[Cut]> {
        let cut = |topic: u64, leaf: u64| {
            let sum = |i: u64| CounterSum {
                item: Item::new(&format!(
                    "an item with a name {:06}",
                    (number * 7_919 + i * 31) % self.items
                ))
                .unwrap(),
                kind: Kind::new("like").unwrap(),
                delta: (i + 1) as i64,
            };
            let leaf = NodeName::new(&format!("leaf-{leaf}")).unwrap();
            Cut {
                stream: StreamId { leaf, incarnation: 1 },
                topic: Topic::new(&format!("{} {lane}/{topic}", self.name)).unwrap(),
                from: number,
                to: number + 1,
                sums: (0..self.counters).map(sum).collect(),
                events: self.counters,
                era: 0,
            }
        };
        (0..self.topics / UNDER_WAY.min(self.topics))
            .flat_map(|t| (0..LEAVES).map(move |l| cut(t, l)))
            .collect()
    }

    /// Merges it all; returns how many counters that was.
    async fn run<S: Store>(&self, store: &Arc<S>, run: u64) -> u64 {
        let mut lanes = tokio::task::JoinSet::new();
        for lane in 0..UNDER_WAY {
            let batches: Vec<_> =
                (run * self.batches..(run + 1) * self.batches).map(|n| self.batch(lane, n)).collect();
            let store = store.clone();
            lanes.spawn(async move {
                let mut counters = 0;
                for batch in batches {
                    let answers = store.merge(batch.clone()).await;
                    assert!(
                        answers.iter().all(|answer| matches!(answer, Ok(Outcome::Applied(_)))),
                        "{:?}",
                        answers[0]
                    );
                    counters += batch.iter().map(|cut| cut.sums.len() as u64).sum::<u64>();
                }
                counters
            });
        }
        lanes.join_all().await.into_iter().sum()
    }
}

/// A redis-server of its own, killed when dropped.
struct Server {
    child: Child,
    _dir: tempfile::TempDir,
    url: StoreUrl,
}

impl Server {
    fn start(appendfsync: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        command.args(["--appendonly", if appendfsync == "no" { "no" } else { "yes" }]);
        command.args(["--appendfsync", appendfsync, "--auto-aof-rewrite-percentage", "0"]);
        let child = command.arg("--dir").arg(dir.path()).stdout(Stdio::null()).spawn().ok()?;
        let url = format!("redis://127.0.0.1:{port}").parse().unwrap();
        Some(Self { child, _dir: dir, url })
    }

    /// CPU time that the server has taken.
    fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        Duration::from_millis(ticks * 10)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a load a few times after a first one to warm up, and prints medians and spread in millions per second.
async fn measure<S: Store>(what: &str, store: Arc<S>, load: &Load, cpu: impl Fn() -> Duration) {
    let (mut by_wall, mut by_cpu) = (Vec::new(), Vec::new());
    for run in 0..=RUNS as u64 {
        let (began, cpu_before) = (Instant::now(), cpu());
        let counters = load.run(&store, run).await as f64 / 1e6;
        if run > 0 {
            by_wall.push(counters / began.elapsed().as_secs_f64());
            by_cpu.push(counters / (cpu() - cpu_before).as_secs_f64());
        }
    }
    let shown = |figures: &mut Vec<f64>| {
        figures.sort_by(f64::total_cmp);
        format!("{:.2} ({:.2} to {:.2})", figures[RUNS / 2], figures[0], figures[RUNS - 1])
    };
    println!("{what:22} {:28} {:>22} {:>22}", load.name, shown(&mut by_wall), shown(&mut by_cpu));
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let cluster = NodeName::new("bench").unwrap();
    println!(
        "{:22} {:28} {:>22} {:>22}",
        "millions of counters", "a cut", "per second", "per server CPU second"
    );
    for appendfsync in ["everysec", "no"] {
        let Some(server) = Server::start(appendfsync) else { break };
        let store = loop {
            if let Ok(store) = Redis::open(&server.url, &cluster).await {
                break Arc::new(store);
            }
        };
        for load in &LOADS {
            measure(&format!("redis, fsync {appendfsync}"), store.clone(), load, || server.cpu()).await;
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Embedded::open(dir.path(), &cluster).await.unwrap());
    let began = Instant::now();
    for load in &LOADS {
        measure("embedded", store.clone(), load, || began.elapsed()).await;
    }
}
