//! The file in a data folder that says which store the folder was last used with.

use crate::shell::folder::sync_folder;
use crate::store::StoreMemory;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Name of the file.
const FILE_NAME: &str = "store";

/// The reason why a folder's memory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The file's content is damaged.
    #[error(
        "{path} does not say which store this folder belongs to ({reason}): put it back from a backup, or delete it if \
         the folder was never used with another store"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
}

/// Reads the folder's memory; `None` if it was never used with a store that has an identity.
///
/// # Errors
/// When the file exists and can't be read.
pub fn recall(folder: &Path) -> Result<Option<StoreMemory>, MemoryError> {
    let path = folder.join(FILE_NAME);
    match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|e| MemoryError::Damaged { path, reason: e.to_string() }),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(MemoryError::Io { path, source }),
    }
}

/// Writes the folder's memory, durably, whole or not at all. Processes that share the folder may do so at
/// once.
///
/// # Errors
/// When it can't be written.
pub fn remember(folder: &Path, memory: &StoreMemory) -> Result<(), MemoryError> {
    let path = folder.join(FILE_NAME);
    let new = folder.join(format!("{FILE_NAME}.{}.new", std::process::id()));
    let write = || {
        fs::create_dir_all(folder)?;
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(memory)?)?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        sync_folder(folder)
    };
    write().map_err(|source| MemoryError::Io { path: path.clone(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{StoreId, StoreStart};

    #[test]
    fn a_folder_remembers_what_it_was_told_last() {
        let folder = std::env::temp_dir().join(format!("countree-memory-{}", std::process::id()));
        assert!(matches!(recall(&folder), Ok(None)));
        for id in [1, u128::MAX] {
            let start = StoreStart { number: 3, chance: u64::MAX };
            let memory = StoreMemory::of(StoreId(id), start);
            remember(&folder, &memory).unwrap();
            assert_eq!(recall(&folder).unwrap(), Some(memory));
        }
        fs::write(folder.join(FILE_NAME), "{").unwrap();
        assert!(matches!(recall(&folder), Err(MemoryError::Damaged { .. })));
        fs::remove_dir_all(&folder).unwrap();
    }
}
