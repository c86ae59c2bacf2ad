//! The load during resizes: producers, keyed requests that are repeated across resizes, and viewers.

use crate::clock::now;
use crate::load::latency::AckLatency;
use countree_client::{AckedBatch, Cluster, OnAck, Producer, ProducerOptions, Viewer};
use countree_common::delta::Delta;
use countree_common::key::{Counter, Topic};
use countree_common::shell::failure::Failure;
use countree_common::shell::http;
use countree_common::shell::shutdown::Shutdown;
use rand::RngExt;
use serde_json::json;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

pub(super) const TOPICS: u64 = 8;
const ITEMS: u64 = 400;
/// The time between two handfuls of events of one producer.
const TICK: Duration = Duration::from_millis(5);
/// The time between two requests of one sender, and between two tries of one.
const REQUESTS: Duration = Duration::from_millis(100);
/// A request that no leaf takes for this long has failed.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Requests that a sender still means to repeat.
const REPEATS: usize = 100;
const ACCEPTED: u16 = 202;

/// Totals, by counter.
pub(super) type Totals = BTreeMap<Counter, i64>;

/// State that the producers, senders and viewers share.
#[derive(Clone)]
pub(super) struct Stage {
    pub(super) url: String,
    pub(super) stop: Shutdown,
    /// All acks, and those of the resize that is under way.
    pub(super) acks: Arc<AckLatency>,
    pub(super) window: Arc<AckLatency>,
    /// Keyed requests that were not taken at the first try, and repeats of those that had been.
    pub(super) refused: Arc<AtomicU64>,
    pub(super) repeats: Arc<AtomicU64>,
}

/// A topic of the load.
pub(super) fn topic(number: u64) -> Result<Topic, Failure> {
    Ok(Topic::new(&format!("loadtest-resize/{number}"))?)
}

fn counter(event: u64) -> Result<Counter, Failure> {
    let topic = topic(event % TOPICS)?;
    Ok(Counter::new(topic.as_str(), &format!("item-{}", event % ITEMS), "like")?)
}

impl Stage {
    /// Sends `rate` events per second until the end; gives what was acked, which has to be all of it.
    pub(super) async fn produce(self, rate: f64) -> Result<Totals, Failure> {
        let (acks, window) = (self.acks.clone(), self.window.clone());
        let on_ack: OnAck = Arc::new(move |batch: AckedBatch| {
            acks.record(batch);
            window.record(batch);
        });
        let cluster = Cluster::discover(&self.url, None).await?;
        let producer = Producer::with_ack_listener(cluster, ProducerOptions::default(), on_ack);
        let handles: Vec<_> =
            (0..ITEMS).map(|n| Ok(producer.counter(&counter(n)?)?)).collect::<Result<_, Failure>>()?;
        let (start, mut sent) = (now(), 0u64);
        while !self.stop.has_begun() {
            tokio::time::sleep(TICK).await;
            let due = (start.elapsed().as_secs_f64() * rate) as u64;
            while sent < due {
                // Open loop: an event that is held up counts as late from when it was due.
                let at = start + Duration::from_secs_f64(sent as f64 / rate);
                let handle = &handles[(sent % ITEMS) as usize];
                producer.send_due(handle, Delta::ONE, at).await?;
                sent += 1;
            }
        }
        let tally = producer.close().await?;
        if tally.acked != sent {
            return Err(Failure::failed(format!("of {sent} events not all were acked: {tally:?}")));
        }
        let mut totals = Totals::new();
        for n in 0..ITEMS.min(sent) {
            totals.insert(counter(n)?, (sent / ITEMS + u64::from(n < sent % ITEMS)) as i64);
        }
        Ok(totals)
    }

    /// Posts keyed requests until the end, and each again, later; gives what was accepted.
    pub(super) async fn post(self, sender: u16) -> Result<Totals, Failure> {
        let (mut totals, mut number) = (Totals::new(), 0u64);
        let mut to_repeat: VecDeque<(u64, Instant)> = VecDeque::new();
        while !self.stop.has_begun() {
            tokio::time::sleep(REQUESTS).await;
            number += 1;
            self.post_until_taken(sender, number).await?;
            *totals.entry(counter(number)?).or_default() += 1;
            let later = Duration::from_millis(rand::rng().random_range(0..10_000));
            if to_repeat.len() < REPEATS {
                to_repeat.push_back((number, now() + later));
            }
            let is_due = to_repeat.front().is_some_and(|(_, at)| *at <= now());
            if is_due && let Some((due, _)) = to_repeat.pop_front() {
                self.repeats.fetch_add(1, Relaxed);
                self.post_until_taken(sender, due).await?;
            }
        }
        for (due, _) in to_repeat {
            self.repeats.fetch_add(1, Relaxed);
            self.post_until_taken(sender, due).await?;
        }
        Ok(totals)
    }

    async fn post_until_taken(&self, sender: u16, number: u64) -> Result<(), Failure> {
        let Counter { topic, item, kind } = counter(number)?;
        let event = json!({ "topic": topic, "item": item, "kind": kind });
        let key = format!("{sender}-{number}");
        let headers = [("idempotency-key", key.as_str())];
        let deadline = now() + REQUEST_TIMEOUT;
        loop {
            let body = Some(event.to_string().into_bytes());
            let answer = http::request("POST", &self.url, "/v1/events", &headers, body).await;
            match answer {
                Ok(answer) if answer.status == ACCEPTED => return Ok(()),
                answer if now() > deadline => {
                    return Err(Failure::failed(format!("request {key} is not taken: {answer:?}")));
                }
                _ => self.refused.fetch_add(1, Relaxed),
            };
            tokio::time::sleep(REQUESTS).await;
        }
    }

    /// Watches every topic until the end; returns the totals that it has seen.
    pub(super) async fn watch(self) -> Result<Seen, Failure> {
        let cluster = Cluster::discover(&self.url, None).await?;
        let topics = (0..TOPICS).map(topic).collect::<Result<_, _>>()?;
        let mut viewer = Viewer::watch(cluster, topics);
        let (mut seen, mut last) = (Seen::default(), None::<Instant>);
        loop {
            let view = tokio::select! {
                view = viewer.next() => view,
                () = self.stop.begun() => return Ok(seen),
            };
            let Some(view) = view.transpose()? else { return Ok(seen) };
            seen.updates += 1;
            seen.longest_gap = last.map_or(seen.longest_gap, |last| seen.longest_gap.max(last.elapsed()));
            last = Some(now());
            for (item, kinds) in view.counts {
                for (kind, total) in kinds {
                    let counter = Counter { topic: view.topic.clone(), item: item.clone(), kind };
                    let before = seen.totals.insert(counter, total);
                    seen.steps_back += u64::from(before.is_some_and(|before| before > total));
                }
            }
        }
    }
}

/// The totals that a viewer was shown.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) totals: Totals,
    pub(super) updates: u64,
    /// Totals that went down.
    pub(super) steps_back: u64,
    /// The longest time without an update.
    pub(super) longest_gap: Duration,
}
