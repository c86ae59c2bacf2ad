//! What keeps a root from reading or writing the store: for `/readyz` as long as it lasts, in the log once.

use crate::store::StoreError;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Damaged topics that are told of in the log.
const DAMAGES_SAID: usize = 1_000;

/// What is asked of the store. A server may refuse one and do the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    Reading,
    Writing,
}

#[derive(Debug, Default)]
struct Found {
    reading: Option<String>,
    writing: Option<String>,
    damages: BTreeSet<String>,
}

impl Found {
    fn of(&mut self, work: Work) -> &mut Option<String> {
        match work {
            Work::Reading => &mut self.reading,
            Work::Writing => &mut self.writing,
        }
    }
}

/// The store's troubles, as the last answers told them.
#[derive(Debug, Default)]
pub(super) struct Trouble(Mutex<Found>);

impl Trouble {
    /// Why the root can't do its work, if it can't.
    pub(super) fn told(&self) -> Option<String> {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        found.writing.clone().or_else(|| found.reading.clone())
    }

    /// The store has done what it was asked.
    pub(super) fn is_over(&self, work: Work) {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if found.of(work).take().is_some() {
            tracing::info!("{work:?} the store works again");
        }
    }

    /// The store has not. One damaged topic does not keep the root from its work; it is told of all the same.
    pub(super) fn is(&self, work: Work, error: &StoreError) {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = error.to_string();
        if matches!(error, StoreError::Damaged(_)) {
            // Its cuts come again and again.
            if found.damages.len() < DAMAGES_SAID && found.damages.insert(text) {
                tracing::error!("{error}");
            }
        } else if found.of(work).replace(text.clone()).as_ref() != Some(&text) {
            tracing::warn!("{work:?} the store fails: {text}");
        }
    }
}

#[cfg(test)]
#[path = "trouble_tests.rs"]
mod tests;
