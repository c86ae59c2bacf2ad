//! Shuts the process down gracefully on a signal, or when the process that started this one asks for it.

use countree_common::shell::shutdown::{Shutdown, Signals};
use std::future::Future;
use std::time::Duration;

/// Time that a start gets to finish after the process was asked to end.
const START_TIMEOUT: Duration = Duration::from_secs(12);
const FAILED: i32 = 1;

/// Returns a switch that SIGINT and SIGTERM throw. A second signal ends the process at once, as a crash would. Call
/// it once per process: only then is no signal lost.
pub(crate) fn on_signal() -> Shutdown {
    let stop = Shutdown::new();
    let thrown = stop.clone();
    tokio::spawn(async move {
        let mut signals = match Signals::install() {
            Ok(signals) => signals,
            // Without a handler a signal still ends the process, in the system's own way.
            Err(e) => {
                tracing::error!("SIGINT and SIGTERM will end this process without a drain: {e}");
                return;
            }
        };
        signals.next().await;
        thrown.begin();
        let signal = signals.next().await;
        tracing::warn!("{signal} again: ending at once; what is not merged is in the logs");
        std::process::exit(FAILED);
    });
    stop
}

/// The line that a parent process writes to a node's standard input to make it leave gracefully.
pub(crate) const LEAVE: &str = "leave\n";

/// Follows the parent process over standard input: throws `stop` when it writes [`LEAVE`], and ends this process at
/// once when the parent is gone, which closes standard input.
#[allow(clippy::disallowed_methods, reason = "a read of standard input can't be given up")]
pub(crate) fn follow_parent(stop: Shutdown) {
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if line == LEAVE.trim_end() {
                stop.begin();
            }
        }
        std::process::exit(FAILED);
    });
}

/// Lets a start finish even after `stop` has begun, so that nothing that has started is dropped rather than drained.
/// `None` when the start takes longer than [`START_TIMEOUT`] after `stop`.
pub(crate) async fn finish_start<T>(starting: impl Future<Output = T>, stop: &Shutdown) -> Option<T> {
    let overdue = async {
        stop.begun().await;
        tokio::time::sleep(START_TIMEOUT).await;
    };
    tokio::select! {
        started = starting => Some(started),
        () = overdue => {
            tracing::warn!("still starting {} s after it was asked to end", START_TIMEOUT.as_secs());
            None
        }
    }
}
