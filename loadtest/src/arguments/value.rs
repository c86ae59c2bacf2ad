//! Numbers with a range, as the command line writes them.

use std::time::Duration;

/// Zipf's exponent.
pub(super) fn exponent(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|s| (0.0..=10.0).contains(s));
    number.ok_or_else(|| "it takes a number from 0 (uniform) to 10".into())
}

/// Events per second.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|r| (0.001..=1e9).contains(r));
    number.ok_or_else(|| "it takes events per second, from 0.001 to 1000000000".into())
}

/// Minutes.
pub(super) fn minutes(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|m| (0.01..=1_440.0).contains(m));
    number.ok_or_else(|| "it takes minutes, from 0.01 to 1440".into())
}

/// A length of time like the manifest's.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let length = countree_common::config::section::parse_duration(text);
    length.ok_or_else(|| "it takes a duration like 100ms or 1s".into())
}
