//! Runs `countree watch`: prints totals as they change.

use crate::arguments::WatchArguments;
use crate::report::{Report, show_sums};
use crate::shutdown;
use countree_client::Viewer;
use countree_common::cluster::NodeName;
use countree_common::document::{Counts, TopicView};
use countree_common::key::{Kind, Topic};
use countree_common::shell::failure::{Failure, printable};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// The duration without `--for`.
const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);

pub(super) async fn run(arguments: WatchArguments, report: Report) -> Result<(), Failure> {
    let cluster = arguments.cluster.discover().await?;
    let mut viewer = Viewer::watch(cluster, arguments.topics);
    let mut topics: HashMap<Topic, Sums> = HashMap::new();
    let end = tokio::time::sleep(arguments.duration.unwrap_or(FOREVER));
    tokio::pin!(end);
    let stop = shutdown::on_signal();
    loop {
        let view = tokio::select! {
            view = viewer.next() => view,
            () = &mut end => return Ok(()),
            () = stop.begun() => return Ok(()),
        };
        let Some(view) = view else { return Ok(()) };
        let view: TopicView = view?;
        let sums = topics.entry(view.topic.clone()).or_default();
        sums.take(&view);
        let line = || {
            let topic = printable(view.topic.as_str());
            let away: Vec<&str> = view.away.iter().map(NodeName::as_str).collect();
            let away = match away.len() {
                0 => String::new(),
                _ => format!("  away, with events that may be missing: {}", away.join(", ")),
            };
            format!("{topic}  {}  (version {}){away}", show_sums(&sums.by_kind), view.version)
        };
        if !report.print(&view, line) {
            return Ok(());
        }
    }
}

/// A topic's sums per kind, updated from the counters that change.
#[derive(Debug, Default)]
struct Sums {
    era: u64,
    counts: Counts,
    by_kind: BTreeMap<Kind, i64>,
}

impl Sums {
    fn take(&mut self, view: &TopicView) {
        if view.era != self.era {
            *self = Self { era: view.era, ..Self::default() };
        }
        for (item, kinds) in &view.counts {
            for (kind, total) in kinds {
                let known = self.counts.entry(item.clone()).or_default().insert(kind.clone(), *total);
                let sum = self.by_kind.entry(kind.clone()).or_default();
                *sum = sum.saturating_sub(known.unwrap_or_default()).saturating_add(*total);
            }
        }
    }
}
