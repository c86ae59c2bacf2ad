//! Opens a store to serve it: checks its identity, and notes in its record that it is served from now on.

use super::{AnyStore, Store, StoreError};
use crate::machine::identity::binding::{Claimant, RandomIds, StoreRefusal, claim, went_back};
use countree_common::shell::store_memory::{self, MemoryError};
use countree_common::store::{StoreMemory, StoreRecord};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

/// Others may write the record at the same time; each does so once for each of its starts.
const TRIES: usize = 100;

/// The reason why a store is not served.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// It is not the one that it should be.
    #[error(transparent)]
    Refused(#[from] StoreRefusal),
    /// It does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The data folder can't be read.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The record is written by others all the time.
    #[error("the store's identity is being written by others all the time: start again")]
    Contended,
}

/// A process that wants to serve a store.
#[derive(Debug, Clone)]
pub struct Binding {
    /// The data folder that remembers it.
    pub folder: PathBuf,
    /// Fingerprints of the cluster's certificate authorities.
    pub authorities: BTreeSet<String>,
    /// The operator's word to take over whatever is found.
    pub adopts: bool,
}

/// A store that is this cluster's.
#[derive(Debug, Clone)]
pub struct BoundStore {
    /// The store; roots of one process may share it.
    pub store: Arc<AnyStore>,
    /// Its record when it was bound.
    pub record: StoreRecord,
}

/// Binds the store and the data folder to each other.
///
/// # Errors
/// When the store does not answer, or is not this cluster's.
pub async fn bind(store: AnyStore, binding: &Binding) -> Result<BoundStore, BindError> {
    let Binding { folder, authorities, adopts } = binding.clone();
    let memory = store_memory::recall(&folder)?;
    let place = format!("{}, in {}", machine_name(), folder.display());
    let claimant = Claimant { memory, authorities, adopts, place };
    for _ in 0..TRIES {
        let found = store.identity().await?;
        let record = claim(&found, &claimant, RandomIds { id: rand::random(), start: rand::random() })?;
        if store.put_identity(record.clone()).await? {
            let is_taken = found.record.is_some_and(|found| found.id != record.id);
            store.serve_as(record.id, is_taken).await?;
            say(&record, claimant.memory.as_ref());
            keep(&binding.folder, &record);
            return Ok(BoundStore { store: Arc::new(store), record });
        }
    }
    Err(BindError::Contended)
}

fn say(record: &StoreRecord, memory: Option<&StoreMemory>) {
    let Some(memory) = memory else { return tracing::info!(store = %record.id, "serving") };
    if went_back(record, memory) {
        tracing::warn!(
            store = %record.id,
            "the store has gone back in time since this data folder was last used with it: what the logs still hold is \
             sent again, and the rest is declared lost; see `countree audit`"
        );
    } else if record.id != memory.id {
        tracing::warn!(store = %record.id, before = %memory.id, "the data folder belongs to another store from now on");
    }
}

/// A root that can't write needs no memory: its certificates bind it.
fn keep(folder: &std::path::Path, record: &StoreRecord) {
    let Some(start) = record.last_start() else { return };
    if let Err(e) = store_memory::remember(folder, &StoreMemory::of(record.id, start)) {
        tracing::warn!("the data folder does not remember its store: {e}");
    }
}

/// The machine's host name.
fn machine_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "a machine without a name".into() } else { name.trim().to_owned() }
}
