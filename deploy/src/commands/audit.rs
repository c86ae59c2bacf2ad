//! Runs `countree audit`: prints the ledger.

use crate::arguments::{AuditArguments, ClusterArguments};
use crate::report::{Report, thousands};
use countree_common::audit::{GivenUp, StoreCheck, StreamGap, TopicGap};
use countree_common::ledger::Ledger;
use countree_common::shell::clock::wall;
use countree_common::shell::failure::{Failure, printable};
use countree_common::shell::http::path_segment;
use countree_common::shell::overview::{Audit, StreamAudit, StreamState};
use countree_common::stream::StreamId;
use countree_common::wire::rpc::StreamPositions;
use std::fmt::Write;
use std::time::Duration;

/// Time for a cluster to settle after a resize.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Time for a full audit, a little longer than the cluster's own limit.
const FULL_AUDIT: Duration = Duration::from_secs(3_700);

pub(super) async fn run(arguments: AuditArguments, report: Report) -> Result<(), Failure> {
    let AuditArguments { stream, full, cluster } = arguments;
    let balanced = match stream {
        None => {
            let audit: Audit = if full {
                cluster.read_within(FULL_AUDIT, "/v1/audit?full=true").await?
            } else {
                cluster.read("/v1/audit").await?
            };
            report.print(&audit, || show(&audit));
            audit.balanced
        }
        Some(stream) => {
            let path = format!("/v1/audit?stream={}", path_segment(&stream.to_string()));
            let stream: StreamAudit = cluster.read(&path).await?;
            report.print(&stream, || show_stream(&stream));
            stream.balanced
        }
    };
    if balanced { Ok(()) } else { Err(Failure::silent()) }
}

/// Reads the ledger after nodes have come or gone, again until it balances or [`SETTLE_TIMEOUT`] is over.
pub(super) async fn after_change(cluster: &ClusterArguments) -> Result<Audit, Failure> {
    let settled = async {
        loop {
            let audit: Audit = cluster.read_retrying("/v1/audit", SETTLE_TIMEOUT).await?;
            if audit.balanced {
                return Ok(audit);
            }
            tokio::time::sleep(super::request::ASK_AGAIN).await;
        }
    };
    match tokio::time::timeout(SETTLE_TIMEOUT, settled).await {
        Ok(audit) => audit,
        Err(_) => cluster.read("/v1/audit").await,
    }
}

pub(super) fn show(audit: &Audit) -> String {
    let verdict = if audit.balanced { "balanced" } else { "OUT OF BALANCE" };
    let mut text = format!("{verdict}: {}", show_ledger(&audit.total));
    if let Some(trouble) = &audit.trouble {
        let _ = write!(text, "\n  {trouble}");
    }
    for leaf in &audit.away {
        let _ = write!(
            text,
            "\n  {leaf} is away, or runs without an earlier log of its own: what that has accepted and not merged is missing here; start it again on its data folder, or give up what is missing with countree drain {leaf} --dead"
        );
    }
    for GivenUp { stream, heard_at } in &audit.given_up {
        let ago = wall().0.saturating_sub(heard_at.0) / 1_000;
        let _ = write!(
            text,
            "\n  {stream}: its log was given up; it was last heard of {} s ago, and what it acked after that and had not merged is lost beyond what is declared",
            number(ago)
        );
    }
    text.push_str(&show_store(audit.store.as_ref()));
    for stream in &audit.streams {
        let state = if stream.sealed { "sealed" } else { "live" };
        let _ = write!(text, "\n  {} ({state})  {}", stream.stream, show_ledger(&stream.ledger));
    }
    text
}

/// Describes the check of the store, with a line for each difference.
fn show_store(store: Option<&StoreCheck>) -> String {
    let Some(check) = store else {
        return "\n  the store's documents have not been compared with this yet: ask again, or use --full"
            .into();
    };
    let StoreCheck {
        age_ms,
        full,
        documents,
        held,
        forgotten,
        short,
        over,
        topics,
        unreadable,
        not_compared,
        ..
    } = check;
    let extent = if *full { ", read whole" } else { "" };
    let mut text = format!(
        "\n  the store holds {} events in {} documents{extent}, as of {} s ago",
        number(*held),
        number(*documents),
        age_ms / 1_000
    );
    if *forgotten > 0 {
        let _ = write!(text, "; {} of the events are of forgotten topics", number(*forgotten));
    }
    let mut say = |line: String| {
        text.push_str("\n  ");
        text.push_str(&line);
    };
    for StreamGap { stream, events } in short {
        say(format!(
            "{stream}: the store lacks {} events that were merged; leaves send what is in a log still, the rest will be declared lost",
            number(*events)
        ));
    }
    for StreamGap { stream, events } in over {
        say(format!("{stream}: the store holds {} events more than were accepted", number(*events)));
    }
    for TopicGap { topic, events } in topics {
        let topic = printable(topic.as_str());
        say(format!("topic {topic} has {} events fewer than before", number(*events)));
    }
    for topic in unreadable {
        let topic = printable(topic.as_str());
        say(format!("topic {topic} can't be read: see the roots' logs"));
    }
    if !not_compared.is_empty() {
        let names: Vec<_> = not_compared.iter().map(StreamId::to_string).collect();
        say(format!("not compared: {}", names.join(", ")));
    }
    text
}

fn show_stream(stream: &StreamAudit) -> String {
    let state = match stream.state {
        StreamState::Live => "live",
        StreamState::Sealed => "sealed: its leaf writes to another by now",
        StreamState::Retired => "retired: all of it is merged for good, and its log deleted",
    };
    let verdict = if stream.balanced { "balanced" } else { "OUT OF BALANCE" };
    let mut text = format!("{} ({state})\n  {verdict}: {}", stream.stream, show_ledger(&stream.ledger));
    if let Some(positions) = &stream.positions {
        let StreamPositions { accepted, durable, cut, merged, topics_behind, .. } = positions;
        let _ = write!(
            text,
            "\n  records: accepted {} ≥ durable {} ≥ cut {} ≥ merged {}, {} topics behind",
            number(*accepted),
            number(*durable),
            number(*cut),
            number(*merged),
            number(*topics_behind)
        );
    }
    text
}

fn number(n: u64) -> String {
    thousands(i64::try_from(n).unwrap_or(i64::MAX))
}

fn show_ledger(ledger: &Ledger) -> String {
    let Ledger { accepted, merged, in_flight, declared_lost } = *ledger;
    format!(
        "accepted {} = merged {} + in flight {} + declared lost {}",
        number(accepted),
        number(merged),
        number(in_flight),
        number(declared_lost)
    )
}
