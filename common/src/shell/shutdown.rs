//! Graceful shutdown: one switch, seen by every task that holds a copy.

use tokio::signal::unix::{self, Signal, SignalKind};
use tokio::sync::watch;

/// A switch that asks tasks to finish. Copies are one switch.
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
    /// A switch that is off.
    pub fn new() -> Self {
        Self::default()
    }

    /// Turns it on. Doing so again has no effect.
    pub fn begin(&self) {
        self.sender.send_replace(true);
    }

    /// Whether it is on.
    pub fn has_begun(&self) -> bool {
        *self.sender.borrow()
    }

    /// Returns once it is on; at once if it is already.
    pub async fn begun(&self) {
        let mut receiver = self.sender.subscribe();
        // The sender lives as long as `self`.
        let _ = receiver.wait_for(|begun| *begun).await;
    }
}

/// SIGINT and SIGTERM, one after another.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes both signals over from the system, which would end the process.
    ///
    /// # Errors
    /// When the handlers can't be installed.
    pub fn install() -> std::io::Result<Self> {
        Ok(Self {
            terminate: unix::signal(SignalKind::terminate())?,
            interrupt: unix::signal(SignalKind::interrupt())?,
        })
    }

    /// Returns when the process is asked to end, with the signal's name.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Returns when the process is asked to end (SIGINT or SIGTERM).
///
/// # Errors
/// When the handlers can't be installed.
pub async fn signal() -> std::io::Result<&'static str> {
    Ok(Signals::install()?.next().await)
}
