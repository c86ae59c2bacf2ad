//! Runs `countree store copy`: copies one store into another, of any form.

use super::location::{StoreLocation, cluster};
use crate::arguments::CopyArguments;
use crate::report::{Report, thousands};
use countree_common::shell::failure::Failure;
use countree_root::store::copy::{Copied, End, copy};
use indicatif::ProgressBar;
use serde::Serialize;
use std::io::IsTerminal;
use std::time::Duration;

const SPINNER_TICK: Duration = Duration::from_millis(100);

#[derive(Debug, Serialize)]
struct Output<'a> {
    from: &'a str,
    to: &'a str,
    #[serde(flatten)]
    copied: Copied,
    verified: bool,
}

pub(super) async fn run(arguments: CopyArguments, report: Report) -> Result<(), Failure> {
    let CopyArguments { from, to, name } = arguments;
    let (from, to) = (StoreLocation::parse(&from)?, StoreLocation::parse(&to)?);
    from.must_exist()?;
    let cluster = cluster(name, &[&from, &to])?;
    let (from, to) = (from.open(&cluster).await?, to.open(&cluster).await?);
    let [source, target] =
        [&from, &to].map(|opened| End { store: opened.store.clone(), name: opened.name.clone() });
    let progress = progress(report);
    let copied = copy(&cluster, &source, &target, |done, is_compared| {
        let word = if is_compared { "compared" } else { "copied" };
        progress.set_message(format!("{word} {} topics", number(done.topics)));
    })
    .await;
    progress.finish_and_clear();
    let copied = copied?;
    let output = Output { from: &from.name, to: &to.name, copied, verified: true };
    report.print(&output, || {
        let Copied { topics, counters, events, sessions } = copied;
        format!(
            "copied and compared: {} topics with {} counters of {} events, {} ends of sessions",
            number(topics),
            number(counters),
            number(events),
            number(sessions)
        )
    });
    Ok(())
}

fn number(n: u64) -> String {
    thousands(i64::try_from(n).unwrap_or(i64::MAX))
}

fn progress(report: Report) -> ProgressBar {
    if report.json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let progress = ProgressBar::new_spinner();
    progress.enable_steady_tick(SPINNER_TICK);
    progress
}
