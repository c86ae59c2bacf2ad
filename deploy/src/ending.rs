//! The end of a process: asked for by a signal, heard by all that runs.

use countree_common::shell::shutdown::{self, Shutdown};
use std::future::Future;
use std::time::Duration;

/// What is just starting has this long to come to an end when the process is asked to.
const GIVE_UP: Duration = Duration::from_secs(12);

/// A switch that SIGINT and SIGTERM throw. One per process: no signal is lost between two looks at it.
pub(crate) fn on_signal() -> Shutdown {
    let stop = Shutdown::new();
    let thrown = stop.clone();
    tokio::spawn(async move {
        match shutdown::signal().await {
            Ok(_) => thrown.begin(),
            // Without a handler a signal still ends the process, in the system's own way.
            Err(e) => tracing::error!("SIGINT and SIGTERM will end this process without a drain: {e}"),
        }
    });
    stop
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
