//! The health of the store, as the last answers showed it: for `/readyz` as long as a failure lasts, in the log once.

use crate::store::StoreError;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Damaged topics that are named in the log, at most.
const DAMAGES_SAID: usize = 1_000;
/// Least time between two lines in the log about one kind of work.
const SAY_GAP: Duration = Duration::from_secs(5);

/// A kind of store call. A server may refuse one and do the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    Reading,
    Writing,
}

/// The health of one kind of work.
#[derive(Debug, Default)]
struct WorkHealth {
    failure: Option<String>,
    /// The last message in the log, and its time.
    said: Option<String>,
    said_at: Option<Instant>,
}

impl WorkHealth {
    /// Logs a change; a store that comes and goes does not fill the log.
    fn say(&mut self, work: Work) {
        let is_early = self.said_at.is_some_and(|at| at.elapsed() < SAY_GAP);
        if self.failure == self.said || is_early {
            return;
        }
        match &self.failure {
            Some(failure) => tracing::warn!("{work:?} the store fails: {failure}"),
            None => tracing::info!("{work:?} the store works again"),
        }
        self.said.clone_from(&self.failure);
        self.said_at = Some(Instant::now());
    }
}

#[derive(Debug, Default)]
struct Works {
    reading: WorkHealth,
    writing: WorkHealth,
    damages: BTreeSet<String>,
}

/// The health of reading and of writing.
#[derive(Debug, Default)]
pub(super) struct StoreHealth(Mutex<Works>);

impl StoreHealth {
    /// The reason why the root can't do its work, if there is one.
    pub(super) fn failure(&self) -> Option<String> {
        let works = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        works.writing.failure.clone().or_else(|| works.reading.failure.clone())
    }

    /// Notes that a store call succeeded.
    pub(super) fn note_success(&self, work: Work) {
        self.set(work, None);
    }

    /// Notes that a store call failed. One damaged topic does not keep the root from its work; it is logged all the
    /// same.
    pub(super) fn note_failure(&self, work: Work, error: &StoreError) {
        if !matches!(error, StoreError::Damaged(_)) {
            return self.set(work, Some(error.to_string()));
        }
        let damages = &mut self.0.lock().unwrap_or_else(PoisonError::into_inner).damages;
        // Its cuts come again and again.
        if damages.len() < DAMAGES_SAID && damages.insert(error.to_string()) {
            tracing::error!("{error}");
        }
    }

    fn set(&self, work: Work, failure: Option<String>) {
        let mut works = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let health = match work {
            Work::Reading => &mut works.reading,
            Work::Writing => &mut works.writing,
        };
        health.failure = failure;
        health.say(work);
    }
}

#[cfg(test)]
#[path = "health_tests.rs"]
mod tests;
