//! Runs a viewer that records the totals that it is shown.

use super::totals::Totals;
use countree_client::{Cluster, Viewer};
use countree_common::document::TopicView;
use countree_common::key::Topic;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The totals that a viewer shows, and any version or total that went back.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) totals: Totals,
    /// The last era and version of each topic.
    versions: BTreeMap<Topic, (u64, u64)>,
    pub(crate) went_back: Vec<String>,
    /// The longest time without anything new.
    pub(crate) longest_gap: Duration,
    last: Option<Instant>,
}

/// Watches the topics for as long as the runtime lives.
pub(crate) async fn follow(cluster: Cluster, topics: Vec<Topic>, seen: Arc<Mutex<Seen>>) {
    let mut viewer = Viewer::watch(cluster, topics);
    while let Some(view) = viewer.next().await {
        match view {
            Ok(view) => seen.lock().unwrap().show(view),
            Err(e) => seen.lock().unwrap().went_back.push(format!("the viewer ended: {e}")),
        }
    }
}

impl Seen {
    fn show(&mut self, view: TopicView) {
        let TopicView { topic, era, version, counts, .. } = view;
        let gap = self.last.replace(Instant::now()).map_or(Duration::ZERO, |last| last.elapsed());
        self.longest_gap = self.longest_gap.max(gap);
        let last = self.versions.insert(topic.clone(), (era, version)).unwrap_or_default();
        if (era, version) < last {
            self.went_back.push(format!("{topic} went from {last:?} to {:?}", (era, version)));
        }
        for (item, kinds) in counts {
            let total = kinds.values().sum();
            let before = self.totals.insert((topic.as_str().to_owned(), item.as_str().to_owned()), total);
            // The load only increments: a total may fall only when a store has forgotten events, which changes the era.
            if let Some(before) = before.filter(|before| era == last.0 && *before > total) {
                self.went_back.push(format!("{topic} {item} went from {before} to {total}"));
            }
        }
    }
}
