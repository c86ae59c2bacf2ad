//! Parses durations like 500ms, 10s or 5m.

use countree_common::config::section::parse_duration;
use std::time::Duration;

/// Parses a duration, for clap.
pub(super) fn parse_time(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "it takes a duration like 500ms, 10s or 5m".into())
}
