//! What people at a terminal see meanwhile.

use super::produce::Producers;
use std::io::IsTerminal;
use std::time::Duration;
use tokio::task::AbortHandle;

const EVERY: Duration = Duration::from_millis(250);

/// Shows progress until it is dropped.
pub(super) struct Progress {
    task: Option<AbortHandle>,
}

/// Begins to show how many of `events` are acked, where somebody looks.
pub(super) fn show(producers: &Producers, events: u64, json: bool) -> Progress {
    if json || !std::io::stderr().is_terminal() {
        return Progress { task: None };
    }
    let producers = producers.watch();
    let task = tokio::spawn(async move {
        loop {
            tokio::time::sleep(EVERY).await;
            let acked: u64 = producers.iter().map(|producer| producer.tally().acked).sum();
            eprint!("\r{} % acked", acked.min(events) * 100 / events.max(1));
        }
    });
    Progress { task: Some(task.abort_handle()) }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
            eprint!("\r             \r");
        }
    }
}
