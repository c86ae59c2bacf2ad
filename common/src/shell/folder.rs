//! Data folders: each belongs to one cluster, and to one process at a time.

use crate::cluster::NodeName;
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Why a folder can't be used. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A process holds it.
    #[error(
        "{0} is in use by a running cluster or node: stop that first, or choose another folder with --data"
    )]
    Held(PathBuf),
    /// Another cluster's data.
    #[error(
        "{path} belongs to cluster '{found}', not '{expected}': choose another folder with --data, or set cluster.name"
    )]
    WrongCluster {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// Whose it should be.
        expected: NodeName,
    },
    /// It could not be read or made.
    #[error("{path}: {source}")]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A folder that is this process's until it is dropped. The kernel lets go of it when the process dies.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    _lock: File,
}

impl DataFolder {
    /// Makes the folder if it is not there, and takes it.
    ///
    /// # Errors
    /// When another process holds it, or it is another cluster's.
    pub fn claim(path: &Path, cluster: &NodeName) -> Result<Self, FolderError> {
        let io = |source| FolderError::Io { path: path.to_owned(), source };
        std::fs::create_dir_all(path).map_err(io)?;
        let lock = File::options().create(true).append(true).open(path.join("lock")).map_err(io)?;
        lock.try_lock().map_err(|e| match e {
            TryLockError::WouldBlock => FolderError::Held(path.to_owned()),
            TryLockError::Error(source) => io(source),
        })?;
        let marker = path.join("cluster");
        match std::fs::read_to_string(&marker) {
            Ok(found) if found.trim() == cluster.as_str() => {}
            Ok(found) if !found.trim().is_empty() => {
                let found = found.trim().to_owned();
                return Err(FolderError::WrongCluster {
                    path: path.to_owned(),
                    found,
                    expected: cluster.clone(),
                });
            }
            // Absent, or empty after a crash in the middle of the first start.
            _ => std::fs::write(&marker, format!("{cluster}\n")).map_err(io)?,
        }
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Makes creations, renamings and deletions in a folder durable.
///
/// # Errors
/// What the system said; then they may not be.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Makes a folder durable together with those above it, any of which may be new: up to the mount point, or
/// to one that is not ours to read and so was not made by us. `sync` is [`sync_folder`], or watches over it.
///
/// # Errors
/// The folder that could not be made durable, and what the system said.
pub fn sync_path_to(
    folder: &Path,
    sync: impl Fn(&Path) -> io::Result<()>,
) -> Result<(), (PathBuf, io::Error)> {
    let device = |path: &Path| std::fs::metadata(path).map(|m| m.dev()).map_err(|e| (path.to_owned(), e));
    let folder = folder.canonicalize().map_err(|e| (folder.to_owned(), e))?;
    let own = device(&folder)?;
    for path in folder.ancestors() {
        if device(path)? != own {
            break;
        }
        match sync(path) {
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => break,
            synced => synced.map_err(|e| (path.to_owned(), e))?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_holder_and_one_cluster() {
        let dir = std::env::temp_dir().join(format!("countree-folder-{}", std::process::id()));
        let (ours, theirs) = (NodeName::new("ours").unwrap(), NodeName::new("theirs").unwrap());
        let held = DataFolder::claim(&dir, &ours).unwrap();
        assert!(matches!(DataFolder::claim(&dir, &ours), Err(FolderError::Held(_))));
        drop(held);
        assert!(matches!(DataFolder::claim(&dir, &theirs), Err(FolderError::WrongCluster { .. })));
        assert!(DataFolder::claim(&dir, &ours).is_ok());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
