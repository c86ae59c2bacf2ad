//! Progress lines on the terminal.

use super::latency::AckLatency;
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::AbortHandle;

const EVERY: Duration = Duration::from_millis(250);

/// Shows progress until it is dropped.
pub(crate) struct Progress {
    task: Option<AbortHandle>,
}

/// Begins to show the number of acked events out of `events`, if standard error is a terminal.
pub(crate) fn show(latency: &Arc<AckLatency>, events: u64, is_loud: bool) -> Progress {
    if !is_loud || !std::io::stderr().is_terminal() {
        return Progress { task: None };
    }
    let latency = latency.clone();
    let task = tokio::spawn(async move {
        loop {
            tokio::time::sleep(EVERY).await;
            eprint!("\r{} % acked", latency.acked().min(events) * 100 / events.max(1));
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
