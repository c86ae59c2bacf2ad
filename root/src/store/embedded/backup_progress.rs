//! The progress of the last backup.

use std::sync::{Arc, Mutex, PoisonError};

/// The progress of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backup {
    /// It is being written.
    Running,
    /// It is complete; its size in bytes.
    Done(u64),
    /// There is none, and why.
    Failed(String),
}

/// The last backup, under the id of the request for it.
#[derive(Debug, Clone, Default)]
pub(super) struct Backups(Arc<Mutex<Option<(String, Backup)>>>);

impl Backups {
    /// Notes how far the backup of that id has come.
    pub(super) fn set(&self, id: &str, state: Backup) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((id.to_owned(), state));
    }

    /// Begins a backup, unless that id has one; then its progress is returned.
    pub(super) fn begin(&self, id: &str) -> Option<Backup> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((known, state)) if known == id => Some(state.clone()),
            Some((_, Backup::Running)) => {
                Some(Backup::Failed("another backup is being written: repeat it when that is done".into()))
            }
            _ => {
                *last = Some((id.to_owned(), Backup::Running));
                None
            }
        }
    }
}
