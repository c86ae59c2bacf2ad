//! `countree audit`: the ledger.

use crate::arguments::ClusterArguments;
use crate::report::{Report, thousands};
use countree_common::ledger::Ledger;
use countree_common::shell::failure::Failure;
use countree_common::shell::overview::Audit;
use std::fmt::Write;

pub(super) async fn run(cluster: ClusterArguments, report: Report) -> Result<(), Failure> {
    let audit: Audit = cluster.read("/v1/audit").await?;
    report.print(&audit, || show(&audit));
    if audit.balanced { Ok(()) } else { Err(Failure::silent()) }
}

fn show(audit: &Audit) -> String {
    let verdict = if audit.balanced { "balanced" } else { "OUT OF BALANCE" };
    let mut text = format!("{verdict}: {}", show_ledger(&audit.total));
    for leaf in &audit.away {
        let _ = write!(
            text,
            "\n  {leaf} is away: what it has accepted and not merged is missing here; start it again"
        );
    }
    for stream in &audit.streams {
        let state = if stream.sealed { "sealed" } else { "live" };
        let _ = write!(text, "\n  {} ({state})  {}", stream.stream, show_ledger(&stream.ledger));
    }
    text
}

fn show_ledger(ledger: &Ledger) -> String {
    let number = |n: u64| thousands(i64::try_from(n).unwrap_or(i64::MAX));
    let Ledger { accepted, merged, in_flight, declared_lost } = *ledger;
    format!(
        "accepted {} = merged {} + in flight {} + declared lost {}",
        number(accepted),
        number(merged),
        number(in_flight),
        number(declared_lost)
    )
}
