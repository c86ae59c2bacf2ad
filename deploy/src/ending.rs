//! The end of a process: asked for by a signal, heard by all that runs.

use countree_common::shell::shutdown::{self, Shutdown};
use std::future::Future;
use std::time::Duration;

/// What is just starting has this long to come to an end when the process is asked to.
const GIVE_UP: Duration = Duration::from_secs(12);
const FAILED: i32 = 1;

/// A switch that SIGINT and SIGTERM throw. A second signal ends the process at once, as a crash would. One per
/// process: no signal is lost between two looks at it.
pub(crate) fn on_signal() -> Shutdown {
    let stop = Shutdown::new();
    let thrown = stop.clone();
    tokio::spawn(async move {
        let mut signals = match shutdown::Signals::hear() {
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

/// What a process says on the standard input of one that it has started, to let it leave gracefully.
pub(crate) const LEAVE: &str = "leave\n";

/// Hears the process that started this one: throws `stop` when it says [`LEAVE`], and ends at once when it is gone,
/// since standard input, which it holds open, ends then.
#[allow(clippy::disallowed_methods, reason = "a read of standard input can't be given up")]
pub(crate) fn with_parent(stop: Shutdown) {
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if line == LEAVE.trim_end() {
                stop.begin();
            }
        }
        std::process::exit(FAILED);
    });
}

/// Sees a start through to its end, so that nothing that has started is dropped rather than drained. `None`
/// when `stop` has begun and the start goes on regardless.
pub(crate) async fn see_through<T>(starting: impl Future<Output = T>, stop: &Shutdown) -> Option<T> {
    let overdue = async {
        stop.begun().await;
        tokio::time::sleep(GIVE_UP).await;
    };
    tokio::select! {
        started = starting => Some(started),
        () = overdue => {
            tracing::warn!("still starting {} s after it was asked to end", GIVE_UP.as_secs());
            None
        }
    }
}
