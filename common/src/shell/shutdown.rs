//! Graceful shutdown: one switch, seen by every task that holds a copy.

use tokio::sync::watch;

/// Tells tasks to finish. Copies are one switch.
#[derive(Debug, Clone)]
pub struct Shutdown {
    sender: std::sync::Arc<watch::Sender<bool>>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { sender: std::sync::Arc::new(watch::Sender::new(false)) }
    }
}

impl Shutdown {
    /// A switch that nobody has thrown.
    pub fn new() -> Self {
        Self::default()
    }

    /// Throws it. Throwing it again does nothing.
    pub fn begin(&self) {
        self.sender.send_replace(true);
    }

    /// Whether it was thrown.
    pub fn has_begun(&self) -> bool {
        *self.sender.borrow()
    }

    /// Returns once it is thrown; at once if it was.
    pub async fn begun(&self) {
        let mut receiver = self.sender.subscribe();
        // The sender lives as long as `self`.
        let _ = receiver.wait_for(|begun| *begun).await;
    }
}

/// Returns when the process is asked to end (SIGINT or SIGTERM).
///
/// # Errors
/// When the handlers can't be installed.
pub async fn signal() -> std::io::Result<&'static str> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}
