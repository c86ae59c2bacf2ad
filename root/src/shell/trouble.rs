//! What keeps a root from reading or writing the store: for `/readyz` as long as it lasts, in the log once.

use crate::store::StoreError;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Damaged topics that are told of in the log.
const DAMAGES_SAID: usize = 1_000;
/// Between two lines in the log about one kind of work.
const SAY_GAP: Duration = Duration::from_secs(5);

/// What is asked of the store. A server may refuse one and do the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    Reading,
    Writing,
}

/// How one kind of work goes.
#[derive(Debug, Default)]
struct Course {
    trouble: Option<String>,
    /// What the log said last, and when.
    said: Option<String>,
    said_at: Option<Instant>,
}

impl Course {
    /// Says in the log what is new; a store that comes and goes does not fill it.
    fn say(&mut self, work: Work) {
        let is_early = self.said_at.is_some_and(|at| at.elapsed() < SAY_GAP);
        if self.trouble == self.said || is_early {
            return;
        }
        match &self.trouble {
            Some(trouble) => tracing::warn!("{work:?} the store fails: {trouble}"),
            None => tracing::info!("{work:?} the store works again"),
        }
        self.said.clone_from(&self.trouble);
        self.said_at = Some(Instant::now());
    }
}

#[derive(Debug, Default)]
struct Courses {
    reading: Course,
    writing: Course,
    damages: BTreeSet<String>,
}

/// The store's troubles, as the last answers told them.
#[derive(Debug, Default)]
pub(super) struct Trouble(Mutex<Courses>);

impl Trouble {
    /// Why the root can't do its work, if it can't.
    pub(super) fn told(&self) -> Option<String> {
        let courses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        courses.writing.trouble.clone().or_else(|| courses.reading.trouble.clone())
    }

    /// The store has done what it was asked.
    pub(super) fn is_over(&self, work: Work) {
        self.set(work, None);
    }

    /// The store has not. One damaged topic does not keep the root from its work; it is told of all the same.
    pub(super) fn is(&self, work: Work, error: &StoreError) {
        if !matches!(error, StoreError::Damaged(_)) {
            return self.set(work, Some(error.to_string()));
        }
        let damages = &mut self.0.lock().unwrap_or_else(PoisonError::into_inner).damages;
        // Its cuts come again and again.
        if damages.len() < DAMAGES_SAID && damages.insert(error.to_string()) {
            tracing::error!("{error}");
        }
    }

    fn set(&self, work: Work, trouble: Option<String>) {
        let mut courses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let course = match work {
            Work::Reading => &mut courses.reading,
            Work::Writing => &mut courses.writing,
        };
        course.trouble = trouble;
        course.say(work);
    }
}

#[cfg(test)]
#[path = "trouble_tests.rs"]
mod tests;
