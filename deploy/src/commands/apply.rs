//! Runs `countree apply`: brings a running `countree up` to a manifest, live, and audits it.

use super::{audit, plan};
use crate::arguments::ManifestArguments;
use crate::report::Report;
use crate::resize::{Action, Resize, State, Step};
use countree_common::shell::failure::Failure;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;

const MANIFEST: &str = "/v1/manifest";
const POLL: Duration = Duration::from_millis(100);

pub(super) async fn run(arguments: ManifestArguments, report: Report) -> Result<(), Failure> {
    let ManifestArguments { manifest, cluster } = arguments;
    let (text, _) = plan::read(&manifest)?;
    let answer = cluster.request("POST", MANIFEST, None, Some(plan::body(&text))).await?;
    if answer.status == super::request::NOT_FOUND {
        return Err(Failure::failed(
            "something else than countree up runs these nodes: change their number there (docs/resizing.md); nothing was changed",
        ));
    }
    let mut resize: Resize = cluster.understand(MANIFEST, answer)?;
    let progress = Progress::new(&resize, report)?;
    while resize.running {
        progress.show(&resize);
        tokio::time::sleep(POLL).await;
        resize = cluster.read(MANIFEST).await?;
    }
    progress.show(&resize);
    progress.bar.finish_and_clear();
    if let Some(why) = &resize.failed {
        let done = resize.steps.iter().filter(|step| step.state == State::Done).count();
        let all = resize.steps.len();
        return Err(Failure::failed(format!(
            "{why}: {done} of {all} steps are done, and stay; apply again once that is mended"
        )));
    }
    let audit = audit::after_change(&cluster).await?;
    let value = serde_json::json!({ "applied": true, "steps": resize.steps, "audit": audit });
    report.print(&value, || {
        let steps: Vec<_> = resize.steps.iter().map(|step| describe(step) + "\n").collect();
        steps.concat() + &audit::show(&audit)
    });
    if audit.balanced { Ok(()) } else { Err(Failure::silent()) }
}

fn describe(step: &Step) -> String {
    let what = match (step.action, step.state) {
        (Action::Start, State::Done) => "started",
        (Action::Start, _) => "starting",
        (Action::Drain, State::Done) => "drained",
        (Action::Drain, _) => "draining",
    };
    let time = if step.seconds > 0.0 { format!(" ({:.1} s)", step.seconds) } else { String::new() };
    format!("{what} {}{time}", step.node)
}

/// A progress bar on a terminal; hidden elsewhere.
struct Progress {
    bar: ProgressBar,
}

impl Progress {
    fn new(resize: &Resize, report: Report) -> Result<Self, Failure> {
        if report.json || !std::io::stderr().is_terminal() {
            return Ok(Self { bar: ProgressBar::hidden() });
        }
        let style = ProgressStyle::with_template("{bar:20} {pos}/{len} {msg} {elapsed}")?;
        let bar = ProgressBar::new(resize.steps.len() as u64).with_style(style);
        bar.enable_steady_tick(POLL);
        Ok(Self { bar })
    }

    fn show(&self, resize: &Resize) {
        let over =
            resize.steps.iter().filter(|step| matches!(step.state, State::Done | State::Failed)).count();
        self.bar.set_position(over as u64);
        if let Some(step) = resize.steps.iter().find(|step| step.state == State::Running) {
            self.bar.set_message(describe(step));
        }
    }
}
