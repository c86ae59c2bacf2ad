//! Runs a producer and a viewer in the background while a test acts on the cluster.

use countree_client::{Cluster, Producer, ProducerOptions, Viewer};
use countree_common::delta::Delta;
use countree_common::key::{Counter, Topic};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// The number of items of the load.
pub(crate) const ITEMS: u64 = 50;
pub(crate) const TOPIC: &str = "live/load";
/// Time for the viewer to see everything that was acked.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The time between two events.
const PACE: Duration = Duration::from_millis(2);

/// A producer and a viewer in the background.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    sender: JoinHandle<i64>,
    /// The number of events that the viewer is to see in the end.
    goal: mpsc::Sender<i64>,
    viewer: JoinHandle<()>,
}

impl Load {
    /// Sends events and watches their totals until [`Load::finish`].
    pub(crate) fn start(url: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (to_sender, to_viewer) = ((url.to_owned(), stop.clone()), url.to_owned());
        let (goal, goals) = mpsc::channel();
        Self {
            stop,
            goal,
            sender: std::thread::spawn(move || {
                Runtime::new().unwrap().block_on(send(&to_sender.0, &to_sender.1))
            }),
            viewer: std::thread::spawn(move || Runtime::new().unwrap().block_on(watch(&to_viewer, &goals))),
        }
    }

    /// Ends the load. Every event has to be acked and shown, and no number may have gone down. Returns their number.
    pub(crate) fn finish(self) -> i64 {
        self.stop.store(true, Ordering::Relaxed);
        let sent = self.sender.join().unwrap();
        self.goal.send(sent).unwrap();
        self.viewer.join().unwrap();
        sent
    }
}

async fn send(url: &str, stop: &AtomicBool) -> i64 {
    let cluster = Cluster::discover(url, None).await.unwrap();
    let producer = Producer::new(cluster, ProducerOptions::default());
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        let counter = Counter::new(TOPIC, &format!("item-{}", sent % ITEMS), "like").unwrap();
        producer.send_event(&counter, Delta::ONE).await.unwrap();
        sent += 1;
        tokio::time::sleep(PACE).await;
    }
    let tally = producer.close().await.unwrap();
    assert_eq!((tally.sent, tally.acked), (sent, sent), "{tally:?}");
    sent as i64
}

/// Watches until all sent events are seen, and checks that versions and totals only go up.
async fn watch(url: &str, goals: &mpsc::Receiver<i64>) {
    let cluster = Cluster::discover(url, None).await.unwrap();
    let mut viewer = Viewer::watch(cluster, vec![Topic::new(TOPIC).unwrap()]);
    let (mut last, mut totals) = (None, HashMap::new());
    let mut goal = None::<(i64, Instant)>;
    loop {
        goal = goal.or_else(|| Some((goals.try_recv().ok()?, Instant::now())));
        if let Some((sent, since)) = goal {
            let seen: i64 = totals.values().sum();
            if seen == sent {
                return;
            }
            assert!(since.elapsed() < TIMEOUT, "of {sent} events the viewer has seen {seen}");
        }
        let Ok(view) = tokio::time::timeout(PACE * 100, viewer.next()).await else { continue };
        let view = view.unwrap().unwrap();
        let version = (view.era, view.version);
        assert!(last.is_none_or(|last| last <= version), "{last:?} then {version:?}");
        last = Some(version);
        for (item, kinds) in &view.counts {
            for (kind, total) in kinds {
                let before = totals.insert((item.clone(), kind.clone()), *total);
                assert!(before.is_none_or(|before| before <= *total), "{item}: {before:?} then {total}");
            }
        }
    }
}
