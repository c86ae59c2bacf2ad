//! The store's file, on a disk that may fail: opened anew after an I/O error, which redb does not get over.

use super::super::StoreError;
use super::failure::failed;
use redb::{Builder, Database, DatabaseError};
use std::fs::OpenOptions;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

/// Pages kept in memory.
const CACHE_BYTES: usize = 128 << 20;
/// The time from an I/O error to the next try.
const REOPEN_GAP: Duration = Duration::from_millis(250);
/// Bytes that are read and written at a time when the file is written over; at least a file system's block.
const BLOCK_BYTES: usize = 64 << 10;

/// The file, open or waiting to be opened anew.
pub(super) struct StoreFile {
    path: PathBuf,
    state: RwLock<State>,
}

struct State {
    /// `None` after an I/O error.
    database: Option<Database>,
    /// The number of times it was opened: an error of an earlier database says nothing about the present one.
    opened: u64,
    error: StoreError,
    failed_at: Instant,
}

impl StoreFile {
    /// Opens the file, and makes it if it is not there.
    pub(super) fn create(path: &Path) -> Result<Self, StoreError> {
        let database = builder().create(path).map_err(|e| unopened(path, e))?;
        let error = StoreError::Failed("the store is closed".into());
        let state = State { database: Some(database), opened: 1, error, failed_at: Instant::now() };
        Ok(Self { path: path.to_owned(), state: RwLock::new(state) })
    }

    /// Works with the database. After an I/O error the next piece of work finds it opened anew, or the
    /// error again while that does not succeed.
    pub(super) fn with<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.reopen_if_due();
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let opened = state.opened;
        let result = state.database.as_ref().map_or_else(|| Err(state.error.clone()), work);
        drop(state);
        if let Err(error @ StoreError::Disk { .. }) = &result {
            self.close(opened, error);
        }
        result
    }

    /// The folder that it is in.
    pub(super) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// Copies the file, durably. Nobody works with it meanwhile, so what is copied is what the last commit has left, as
    /// after a crash. Returns the size in bytes.
    pub(super) fn copy_to(&self, to: &Path) -> Result<u64, StoreError> {
        let state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.database.is_none() {
            return Err(state.error.clone());
        }
        let bytes = std::fs::copy(&self.path, to).map_err(failed)?;
        drop(state);
        std::fs::File::open(to).and_then(|copy| copy.sync_all()).map_err(failed)?;
        Ok(bytes)
    }

    fn close(&self, opened: u64, error: &StoreError) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.opened == opened && state.database.take().is_some() {
            state.error = error.clone();
            state.failed_at = Instant::now();
        }
    }

    fn reopen_if_due(&self) {
        let is_due = |state: &State| state.database.is_none() && state.failed_at.elapsed() >= REOPEN_GAP;
        if !is_due(&self.state.read().unwrap_or_else(PoisonError::into_inner)) {
            return;
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if !is_due(&state) {
            return;
        }
        match self.reopen(&state.error) {
            Ok(database) => {
                state.database = Some(database);
                state.opened += 1;
            }
            Err(error) => {
                // A doubt about what is on disk outlives the tries that did not get to settle it.
                if matches!(state.error, StoreError::Disk { is_full: true, .. }) {
                    state.error = error;
                }
                state.failed_at = Instant::now();
            }
        }
    }

    /// A file that is gone is not made again: that would be an empty store.
    fn reopen(&self, after: &StoreError) -> Result<Database, StoreError> {
        if !matches!(after, StoreError::Disk { is_full: true, .. }) {
            write_over(&self.path).map_err(failed)?;
        }
        builder().open(&self.path).map_err(|e| unopened(&self.path, e))
    }
}

fn builder() -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

fn unopened(path: &Path, e: DatabaseError) -> StoreError {
    match e {
        DatabaseError::DatabaseAlreadyOpen => StoreError::Held { path: path.to_owned() },
        e => match failed(e) {
            StoreError::Failed(reason) => StoreError::Failed(format!("{}: {reason}", path.display())),
            e => e,
        },
    }
}

/// Writes what a file holds once more, durably. After a failed fsync the system may take for written what
/// is not; another fsync alone would prove nothing. Holes stay holes.
fn write_over(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    // Nobody else's writes may be undone; redb takes the same lock.
    file.try_lock()?;
    let mut block = vec![0; BLOCK_BYTES];
    let mut at = 0;
    loop {
        file.seek(SeekFrom::Start(at))?;
        let read = file.read(&mut block)?;
        let Some(bytes) = block.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        if bytes.iter().any(|byte| *byte != 0) {
            file.seek(SeekFrom::Start(at))?;
            file.write_all(bytes)?;
        }
        at += read as u64;
    }
    file.sync_all()
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
