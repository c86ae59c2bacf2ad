//! Data folders: each belongs to one cluster, and to one process at a time.

use crate::cluster::NodeName;
use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The format of a data folder: of its records, segments and embedded store. It goes up with every release
/// that writes files which the one before can't read. Format 1 is that of release 0.1.0 (b0dc694).
const FORMAT: u32 = 2;

/// The reason why a folder can't be used. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Another process holds it.
    #[error(
        "{0} is in use by a running cluster or node: stop that first, or choose another folder with --data"
    )]
    Held(PathBuf),
    /// It belongs to another cluster.
    #[error(
        "{path} belongs to cluster '{found}', not '{expected}': choose another folder with --data, or set cluster.name"
    )]
    WrongCluster {
        /// The folder.
        path: PathBuf,
        /// The cluster that it belongs to.
        found: String,
        /// The cluster that asks for it.
        expected: NodeName,
    },
    /// A newer build wrote it.
    #[error(
        "{path} was written by a newer build, in form {found}; this build knows forms up to {FORMAT}: start the newer \
         build (docs/upgrading.md)"
    )]
    Newer {
        /// The folder.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// It could not be read or made.
    #[error("{path}: {source}")]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
}

/// A data folder that this process holds until the value is dropped. The kernel releases it when the process
/// dies.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    _lock: File,
}

impl DataFolder {
    /// Makes the folder if it is not there, and takes it.
    ///
    /// # Errors
    /// When another process holds it, or it is another cluster's or a newer build's.
    pub fn claim(path: &Path, cluster: &NodeName) -> Result<Self, FolderError> {
        let io = |source| FolderError::Io { path: path.to_owned(), source };
        std::fs::create_dir_all(path).map_err(io)?;
        let lock = File::options().create(true).append(true).open(path.join("lock")).map_err(io)?;
        lock.try_lock().map_err(|e| match e {
            TryLockError::WouldBlock => FolderError::Held(path.to_owned()),
            TryLockError::Error(source) => io(source),
        })?;
        let marker = path.join("cluster");
        let text = match std::fs::read_to_string(&marker) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(io(e)),
            text => text.unwrap_or_default(),
        };
        let (found, format) = read_marker(&text);
        if !found.is_empty() && found != cluster.as_str() {
            let (path, found, expected) = (path.to_owned(), found.to_owned(), cluster.clone());
            return Err(FolderError::WrongCluster { path, found, expected });
        }
        if format > FORMAT {
            return Err(FolderError::Newer { path: path.to_owned(), found: format });
        }
        if found.is_empty() || format < FORMAT {
            write_marker(path, &marker, cluster).map_err(io)?;
        }
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The folder's path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The content of a folder's marker: the cluster, and the format of the data. Empty after a crash during the
/// first start.
fn read_marker(text: &str) -> (&str, u32) {
    let mut lines = text.lines();
    let cluster = lines.next().unwrap_or_default().trim();
    let format = lines.next().and_then(|line| line.strip_prefix("form ")?.split(':').next()?.parse().ok());
    (cluster, format.unwrap_or(1))
}

/// Must be on disk before any data of that format is. A build of format 1 takes all of the marker for the
/// cluster's name, finds another than its own, and refuses with it.
fn write_marker(folder: &Path, marker: &Path, cluster: &NodeName) -> io::Result<()> {
    let text = format!("{cluster}\nform {FORMAT}: written by a newer build of Countree, start that one\n");
    let new = marker.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, marker)?;
    sync_folder(folder)
}

/// Makes creations, renames and deletions in a folder durable.
///
/// # Errors
/// The operating system's error; the changes may not be durable then.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Makes a folder durable together with those above it, any of which may be new: up to the mount point, or
/// to one that is not ours to read and so was not made by us. `sync` is [`sync_folder`], or watches over it.
///
/// # Errors
/// With the folder that could not be made durable, and the operating system's error.
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

    #[test]
    fn a_folder_of_form_1_becomes_one_that_its_builds_refuse_with_words() {
        let dir = std::env::temp_dir().join(format!("countree-form-{}", std::process::id()));
        let ours = NodeName::new("ours").unwrap();
        std::fs::create_dir_all(&dir).unwrap();
        for before in ["ours\n", ""] {
            std::fs::write(dir.join("cluster"), before).unwrap();
            drop(DataFolder::claim(&dir, &ours).unwrap());
            let marker = std::fs::read_to_string(dir.join("cluster")).unwrap();
            assert_ne!(marker.trim(), "ours", "what form 1 compares");
            assert!(marker.contains("newer build"), "what form 1 shows");
            assert!(DataFolder::claim(&dir, &ours).is_ok());
        }
        std::fs::write(dir.join("cluster"), format!("ours\nform {}: words\n", FORMAT + 1)).unwrap();
        assert!(matches!(DataFolder::claim(&dir, &ours), Err(FolderError::Newer { .. })));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
