//! Runs load with known totals: checks in the end that every event was counted once.

use super::totals::Totals;
use super::viewing::{Seen, follow};
use super::{eventually, read};
use countree_client::{AckedBatch, Cluster, OnAck, Producer, ProducerOptions};
use countree_common::delta::Delta;
use countree_common::key::{Counter, Topic};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

const SENDERS: u64 = 2;
const TOPICS: u64 = 5;
const ITEMS: u64 = 97;
/// Events of each sender in each tick.
const HANDFUL: u64 = 5;
const TICK: Duration = Duration::from_millis(10);
const KIND: &str = "like";
/// Time for all acks and merges after the faults.
const TIMEOUT: Duration = Duration::from_secs(60);
/// A time limit of producers that is longer than any test.
const NEVER: Duration = Duration::from_secs(3_600);

/// Producers that send until [`Load::finish`], and a viewer.
pub(crate) struct Load {
    runtime: Runtime,
    stop: Arc<AtomicBool>,
    senders: Vec<JoinHandle<Result<(Totals, u64), String>>>,
    acks: Arc<Mutex<Acks>>,
    seen: Arc<Mutex<Seen>>,
}

/// Waits for acks, and the number of acked events.
#[derive(Default)]
struct Acks {
    events: u64,
    waits: Vec<Duration>,
    /// The number of waits that [`Load::goes_on`] has reported.
    looked_at: usize,
}

impl Load {
    /// Begins to send to the cluster that the node at `url` belongs to, and to watch it.
    pub(crate) fn start(url: &str) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (stop, acks, seen) = (Arc::new(AtomicBool::new(false)), Arc::default(), Arc::default());
        let senders = (0..SENDERS).map(|sender| {
            let cluster = runtime.block_on(Cluster::discover(url, None)).unwrap();
            runtime.spawn(send(cluster, sender, Arc::clone(&stop), Arc::clone(&acks)))
        });
        let senders = senders.collect();
        let cluster = runtime.block_on(Cluster::discover(url, None)).unwrap();
        runtime.spawn(follow(cluster, (0..TOPICS).map(topic).collect(), Arc::clone(&seen)));
        Self { runtime, stop, senders, acks, seen }
    }

    /// Events that were acked so far.
    pub(crate) fn acked(&self) -> u64 {
        self.acks.lock().unwrap().events
    }

    /// Waits until as many events more are acked, so that what was done before is done under load; says how long
    /// acks have taken meanwhile.
    pub(crate) fn goes_on(&self, what: &str) {
        let before = self.acked();
        eventually(&format!("{what}: events are acked"), TIMEOUT, || match self.acked() {
            now if now >= before + 100 => Ok(()),
            now => Err(format!("{} more than the {before} before", now - before)),
        });
        let mut acks = self.acks.lock().unwrap();
        let longest = acks.waits.iter().skip(acks.looked_at).max().copied().unwrap_or_default();
        acks.looked_at = acks.waits.len();
        println!("{what}: acks took {longest:.1?} at most");
    }

    /// Ends the load and demands that the cluster behind `url` has counted every event once: every one is acked,
    /// the totals are their sums, the viewer sees those totals and never saw a version go back, and the ledger
    /// balances with just these events in it, and nothing in flight.
    pub(crate) fn finish(self, url: &str) {
        self.stop.store(true, Ordering::Relaxed);
        let (mut expected, mut events) = (Totals::new(), 0);
        for sender in self.senders {
            let sent = self.runtime.block_on(async { tokio::time::timeout(TIMEOUT, sender).await });
            let (sent, count) = sent.expect("what was sent is not acked in time").unwrap().unwrap();
            events += count;
            sent.into_iter().for_each(|(counter, sum)| *expected.entry(counter).or_default() += sum);
        }
        eventually("the ledger balances", TIMEOUT, || self.runtime.block_on(settled(url, events)));
        eventually("the totals are what was acked", TIMEOUT, || {
            let mut totals = Totals::new();
            for number in 0..TOPICS {
                totals.extend(self.runtime.block_on(totals_of(url, &topic(number)))?);
            }
            same(&totals, &expected)
        });
        eventually("the viewer sees the totals", TIMEOUT, || {
            same(&self.seen.lock().unwrap().totals, &expected)
        });
        let went_back = &self.seen.lock().unwrap().went_back;
        assert!(went_back.is_empty(), "the viewer saw versions go back: {went_back:?}");
        let mut acks = self.acks.lock().unwrap();
        acks.waits.sort_unstable();
        let worst = acks.waits.last().copied().unwrap_or_default();
        let p99 = acks.waits.get(acks.waits.len() * 99 / 100).copied().unwrap_or_default();
        println!("{events} events, each counted once; acks took {p99:?} (p99), {worst:?} at most");
    }
}

fn topic(number: u64) -> Topic {
    Topic::new(&format!("load/topic-{number}")).unwrap()
}

/// Sends until `stop`; returns the sums and the number of the sent events, all of which were acked.
async fn send(
    cluster: Cluster,
    sender: u64,
    stop: Arc<AtomicBool>,
    acks: Arc<Mutex<Acks>>,
) -> Result<(Totals, u64), String> {
    let on_ack: OnAck = Arc::new(move |batch: AckedBatch| {
        let mut acks = acks.lock().unwrap();
        acks.events += batch.events;
        acks.waits.push(batch.acked.saturating_duration_since(batch.first_queued));
    });
    let mut options = ProducerOptions::default();
    options.give_up = NEVER;
    let producer = Producer::with_ack_listener(cluster, options, on_ack);
    let mut totals = Totals::new();
    let mut tick = tokio::time::interval(TICK);
    for event in 0.. {
        if event % HANDFUL == 0 {
            tick.tick().await;
        }
        if stop.load(Ordering::Relaxed) {
            break;
        }
        // Nearly every subset of a counter's events has another sum, so lost events show.
        let delta = (event * 7_919 + sender) as i64 % 1_000_003 + 1;
        let (topic, item) = (topic(event % TOPICS), format!("item-{}", event % ITEMS));
        let counter = Counter::new(topic.as_str(), &item, KIND).map_err(|e| e.to_string())?;
        let delta_checked = Delta::new(delta).map_err(|e| e.to_string())?;
        producer.send_event(&counter, delta_checked).await.map_err(|e| e.to_string())?;
        *totals.entry((topic.as_str().to_owned(), item)).or_default() += delta;
    }
    let tally = producer.close().await.map_err(|e| e.to_string())?;
    if tally.acked == tally.sent {
        Ok((totals, tally.acked))
    } else {
        Err(format!("not everything was acked: {tally:?}"))
    }
}

async fn totals_of(url: &str, topic: &Topic) -> Result<Totals, String> {
    let path = format!("/v1/topics/{}?wait=complete", http_path(topic));
    let view = read(url, &path).await?;
    let items = view["counts"].as_object().ok_or("no counts")?;
    let total = |(item, kinds): (&String, &serde_json::Value)| {
        let total = kinds[KIND].as_i64().ok_or_else(|| format!("no {KIND} of {item}"))?;
        Ok(((topic.as_str().to_owned(), item.clone()), total))
    };
    items.iter().map(total).collect()
}

fn http_path(topic: &Topic) -> String {
    countree_common::shell::http::path_segment(topic.as_str())
}

async fn settled(url: &str, events: u64) -> Result<(), String> {
    let audit = read(url, "/v1/audit").await?;
    let is_settled = audit["balanced"] == true && audit["accepted"] == events && audit["merged"] == events;
    if is_settled { Ok(()) } else { Err(audit.to_string()) }
}

/// Compares both; the error says where they differ.
fn same(found: &Totals, expected: &Totals) -> Result<(), String> {
    let all: std::collections::BTreeSet<_> = found.keys().chain(expected.keys()).collect();
    let differ = |counter: &&&(String, String)| found.get(**counter) != expected.get(**counter);
    let wrong: Vec<_> = all.iter().filter(differ).collect();
    let Some(counter) = wrong.first() else { return Ok(()) };
    let (is, must_be) = (found.get(**counter), expected.get(**counter));
    Err(format!(
        "{} counters of {} differ, {counter:?} is {is:?} and not {must_be:?}",
        wrong.len(),
        all.len()
    ))
}
