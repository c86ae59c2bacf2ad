//! Runs `countree get`: prints a topic's totals.

use crate::arguments::TopicArguments;
use crate::report::{Report, kind_sums, show_sums, show_total};
use countree_common::document::TopicView;
use countree_common::shell::failure::{Failure, printable};
use countree_common::shell::http::path_segment;
use std::fmt::Write;
use std::time::Duration;

/// Time for a recovering cluster to merge the events that it had acked.
const RETRY_TIMEOUT: Duration = Duration::from_secs(30);
/// Items that are printed for people, the largest totals first; JSON has all.
const ITEMS_SHOWN: usize = 50;

pub(super) async fn run(arguments: TopicArguments, report: Report) -> Result<(), Failure> {
    let path = format!("/v1/topics/{}?wait=complete", path_segment(arguments.topic.as_str()));
    let view: TopicView = arguments.cluster.read_retrying(&path, RETRY_TIMEOUT).await?;
    report.print(&view, || show(&view));
    Ok(())
}

fn show(view: &TopicView) -> String {
    let sums = kind_sums(view);
    let topic = printable(view.topic.as_str());
    let mut text = format!("{topic}  {}  (version {})", show_sums(&sums), view.version);
    let mut items: Vec<_> = view.counts.iter().collect();
    items.sort_by_key(|(_, kinds)| std::cmp::Reverse(kinds.values().copied().max().unwrap_or_default()));
    for (item, kinds) in items.iter().take(ITEMS_SHOWN) {
        let kinds: Vec<_> = kinds.iter().map(|(kind, total)| show_total(kind, *total)).collect();
        let _ = write!(text, "\n  {}  {}", printable(item.as_str()), kinds.join(" · "));
    }
    if items.len() > ITEMS_SHOWN {
        let _ = write!(text, "\n  … and {} more items (--json lists all)", items.len() - ITEMS_SHOWN);
    }
    for leaf in &view.away {
        let _ =
            write!(text, "\n  {leaf} is away: events that it acked may be missing until it is started again");
    }
    text
}
