//! Runs viewers, and measures the age of the totals that they are shown.
//!
//! Every shown counter grows by one with each change of a [`ChangeSchedule`]. So a total tells the changes in it, and
//! each of them was due at a known time. A change that a viewer skips is as old as the one that it sees instead, so no
//! delay is left out (coordinated omission).

pub(crate) mod changes;

use crate::clock::now;
use crate::load::latency::{Percentiles, Point, curve, histogram};
use changes::{ChangeSchedule, SHOWN_ITEM, SHOWN_KIND};
use countree_client::{Cluster, Viewer};
use countree_common::key::Topic;
use countree_common::shell::failure::Failure;
use hdrhistogram::Histogram;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Viewers that share a socket, as they do in a program that watches for many: with all on one, its buffer would
/// overflow.
const PER_SOCKET: usize = 50;
/// Connections that are made at once.
const CONNECTING: usize = 64;
/// A viewer that has no snapshot after this long gets none.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);

/// Records of what all viewers have seen.
#[derive(Debug)]
pub(crate) struct Seen {
    schedule: OnceLock<ChangeSchedule>,
    state: Mutex<State>,
    /// The latest change that each viewer has seen.
    latest: Vec<AtomicU64>,
}

#[derive(Debug)]
struct State {
    micros: Histogram<u64>,
    deliveries: u64,
    steps_back: u64,
}

/// Records of the deliveries of one schedule.
#[derive(Debug, Clone)]
pub(crate) struct Deliveries {
    /// Updates that reached viewers.
    pub(crate) deliveries: u64,
    /// Times that a viewer saw a lower total than before.
    pub(crate) steps_back: u64,
    /// The time from a change's due time until a viewer saw it, for every change and viewer.
    pub(crate) staleness_ms: Percentiles,
    pub(crate) curve: Vec<Point>,
}

impl Seen {
    /// Starts empty, for this many viewers.
    ///
    /// # Errors
    /// Never; the histogram can't know.
    pub(crate) fn new(viewers: usize) -> Result<Arc<Self>, Failure> {
        let state = State { micros: histogram()?, deliveries: 0, steps_back: 0 };
        let latest = (0..viewers).map(|_| AtomicU64::new(0)).collect();
        Ok(Arc::new(Self { schedule: OnceLock::new(), state: Mutex::new(state), latest }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to count the changes of this schedule. Later calls have no effect.
    pub(crate) fn begin(&self, schedule: ChangeSchedule) {
        let _ = self.schedule.set(schedule);
    }

    /// A viewer is shown the total.
    pub(crate) fn saw(&self, viewer: usize, total: u64, at: Instant) {
        let Some(latest) = self.latest.get(viewer) else { return };
        let before = latest.fetch_max(total, Relaxed);
        let Some(schedule) = self.schedule.get() else { return };
        let mut state = self.state();
        state.deliveries += 1;
        state.steps_back += u64::from(total < before);
        for change in before + 1..=total {
            let Some(due) = schedule.due(change) else { continue };
            let waited = at.saturating_duration_since(due);
            state.micros.saturating_record(waited.as_micros().max(1) as u64);
        }
    }

    /// The number of viewers that have not seen this total.
    pub(crate) fn behind(&self, total: u64) -> usize {
        self.latest.iter().filter(|latest| latest.load(Relaxed) < total).count()
    }

    /// Returns once every viewer has seen this total; else how many had not, when it took too long.
    pub(crate) async fn all_saw(&self, total: u64, timeout: Duration) -> Result<(), usize> {
        let deadline = now() + timeout;
        loop {
            match self.behind(total) {
                0 => return Ok(()),
                behind if now() > deadline => return Err(behind),
                _ => tokio::time::sleep(POLL).await,
            }
        }
    }

    /// Whether a viewer has seen a higher total than this.
    pub(crate) fn is_beyond(&self, total: u64) -> bool {
        self.latest.iter().any(|latest| latest.load(Relaxed) > total)
    }

    /// The deliveries so far.
    pub(crate) fn deliveries(&self) -> Deliveries {
        let State { micros, deliveries, steps_back } = &*self.state();
        Deliveries {
            deliveries: *deliveries,
            steps_back: *steps_back,
            staleness_ms: Percentiles::of(micros),
            curve: curve(micros),
        }
    }
}

/// Connects viewers of Countree, viewer n to topic n modulo their number. They watch until the set is dropped.
///
/// # Errors
/// When one gets no snapshot.
pub(crate) async fn gather(
    url: &str,
    topics: &[Topic],
    viewers: usize,
    seen: &Arc<Seen>,
) -> Result<JoinSet<Result<(), Failure>>, Failure> {
    let (mut watching, mut connecting) = (JoinSet::new(), JoinSet::new());
    let permits = Arc::new(Semaphore::new(CONNECTING));
    let mut cluster = Cluster::discover(url, None).await?;
    for (number, topic) in (0..viewers).zip(topics.iter().cycle()) {
        if number > 0 && number % PER_SOCKET == 0 {
            cluster = Cluster::discover(url, None).await?;
        }
        let (cluster, topic, seen, permits) = (cluster.clone(), topic.clone(), seen.clone(), permits.clone());
        connecting.spawn(async move {
            let _permit = permits.acquire().await?;
            let mut viewer = Viewer::watch(cluster, vec![topic]);
            let first = tokio::time::timeout(CONNECT_TIMEOUT, viewer.next()).await;
            match first {
                Ok(Some(Ok(view))) => {
                    look(&view, number, &seen);
                    Ok((viewer, number))
                }
                Ok(Some(Err(e))) => Err(e.into()),
                Ok(None) | Err(_) => Err(Failure::failed(format!("viewer {number} gets no snapshot"))),
            }
        });
    }
    while let Some(connected) = connecting.join_next().await {
        let (mut viewer, number) = connected??;
        let seen = seen.clone();
        watching.spawn(async move {
            while let Some(view) = viewer.next().await {
                look(&view?, number, &seen);
            }
            Ok(())
        });
    }
    Ok(watching)
}

fn look(view: &countree_common::document::TopicView, viewer: usize, seen: &Seen) {
    let at = now();
    let item = view.counts.iter().find(|(item, _)| item.as_str() == SHOWN_ITEM);
    let kind = item.and_then(|(_, kinds)| kinds.iter().find(|(kind, _)| kind.as_str() == SHOWN_KIND));
    if let Some((_, total)) = kind {
        seen.saw(viewer, u64::try_from(*total).unwrap_or(0), at);
    }
}

#[cfg(test)]
#[path = "audience_tests.rs"]
mod tests;
