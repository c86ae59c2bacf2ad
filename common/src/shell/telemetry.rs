//! Logs, on standard error; `COUNTREE_LOG` filters them (`info`, `countree_leaf=debug`, …).

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Sends the process's events to standard error: for people on a terminal, as JSON lines when
/// `COUNTREE_LOG_FORMAT=json`. `default` is the filter where `COUNTREE_LOG` does not say another.
pub fn init(default: &str) {
    let filter = EnvFilter::try_from_env("COUNTREE_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let json = std::env::var("COUNTREE_LOG_FORMAT").is_ok_and(|f| f == "json");
    // A test or an embedding program may have installed its own subscriber, which stays.
    let _ = if json { builder.json().try_init() } else { builder.try_init() };
}
