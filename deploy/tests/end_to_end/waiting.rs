//! Waits for a condition, with one time limit for all tests.

use std::time::{Duration, Instant};

/// Longer than any step of these tests takes, unless it is broken.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// Calls `ask` until it returns something; panics after [`TIMEOUT`].
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
