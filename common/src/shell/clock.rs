//! The clocks, read in one place.

use crate::time::{Now, Time, WallMs};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The interval at which the wall clock is compared with the time that has passed.
const LOOK: Duration = Duration::from_secs(1);
/// Smaller differences are no step: time servers slew clocks, and a process may be held up between two
/// readings.
const STEP_MIN: Duration = Duration::from_millis(500);

/// Number of steps of this machine's wall clock since the process began to watch it.
static STEPS: AtomicU64 = AtomicU64::new(0);

/// Reads both clocks. Copies share their origin.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// Starts a clock. Its monotonic time begins at one second, so that machines may subtract a little.
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// Reads both clocks.
    pub fn now(&self) -> Now {
        let mono = u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX);
        Now { mono: Time(mono.saturating_add(1_000_000)), wall: wall() }
    }
}

/// Reads the wall clock alone.
pub fn wall() -> WallMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Returns the number of steps of the wall clock that [`watch_steps`] has seen.
pub fn steps() -> u64 {
    STEPS.load(Ordering::Relaxed)
}

/// Logs each step of the wall clock from now on; call it once per process. No count depends on that clock,
/// but times that people are shown do.
pub fn watch_steps() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        tokio::spawn(async {
            let clock = Clock::start();
            let mut last = clock.now();
            loop {
                tokio::time::sleep(LOOK).await;
                let now = clock.now();
                if let Some(step) = step_between(last, now) {
                    STEPS.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(
                        "the wall clock was stepped by {step} s: what is counted and remembered does not go by it; times \
                         that are shown do, and tokens end by it"
                    );
                }
                last = now;
            }
        });
    });
}

/// The step of the wall clock against the time that passed, in seconds; `None` where there was none.
fn step_between(last: Now, now: Now) -> Option<String> {
    let passed = now.mono.since(last.mono);
    let (ahead, expected) = (now.wall, last.wall + passed);
    let (sign, step) =
        if ahead >= expected { ("+", ahead.since(expected)) } else { ("-", expected.since(ahead)) };
    (step >= STEP_MIN).then(|| format!("{sign}{:.1}", step.as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_told_from_time_that_passes() {
        let at = |ms: u64, wall: u64| Now { mono: Time(ms * 1_000), wall: WallMs(1_000_000 + wall) };
        let step = |mono, wall| step_between(at(0, 0), Now { ..at(mono, wall) });
        assert_eq!(step(1_000, 1_000), None);
        assert_eq!(step(30_000, 30_200), None, "a process may be held up");
        assert_eq!(step(1_000, 1_201_000).as_deref(), Some("+1200.0"));
        let back = Now { mono: Time(1_000_000), wall: WallMs(941_000) };
        assert_eq!(step_between(at(0, 0), back).as_deref(), Some("-60.0"));
    }
}
