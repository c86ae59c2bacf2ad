//! Reads the clock, for measurements.

use std::time::Instant;

/// Returns the current moment.
#[allow(clippy::disallowed_methods, reason = "measuring takes a clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
