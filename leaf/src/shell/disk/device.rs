//! Asks the file system for what makes the log durable, in one place: tests can make each of these
//! calls fail.

use super::{DiskError, at};
use countree_common::shell::folder;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

/// The calls that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    CreateFolder,
    CreateFile,
    Append,
    Truncate,
    Sync,
    SyncFolder,
}

/// The file system below a data folder.
#[derive(Debug, Clone, Default)]
pub(super) struct Device {
    #[cfg(test)]
    faults: Option<faults::Faults>,
}

impl Device {
    /// The file system below this data folder.
    #[cfg(not(test))]
    pub(super) fn of(_folder: &Path) -> Self {
        Self::default()
    }

    #[cfg(test)]
    pub(super) fn of(folder: &Path) -> Self {
        Self { faults: faults::of(folder) }
    }

    fn before(&self, call: Call, path: &Path) -> io::Result<()> {
        #[cfg(test)]
        if let Some(faults) = &self.faults {
            return faults.before(call, path);
        }
        let _ = (call, path);
        Ok(())
    }

    /// Makes a folder, which must not be there.
    pub(super) fn create_folder(&self, path: &Path) -> Result<(), DiskError> {
        at(path, self.before(Call::CreateFolder, path).and_then(|()| fs::create_dir(path)))
    }

    /// Makes a file to append to, which must not be there.
    pub(super) fn create_file(&self, path: &Path) -> Result<File, DiskError> {
        let create = || OpenOptions::new().append(true).create_new(true).open(path);
        at(path, self.before(Call::CreateFile, path).and_then(|()| create()))
    }

    /// Appends; on failure some of the bytes may be there.
    pub(super) fn append(&self, path: &Path, file: &mut File, bytes: &[u8]) -> Result<(), DiskError> {
        if let Err(e) = self.before(Call::Append, path) {
            #[cfg(test)]
            file.write_all(&bytes[..bytes.len() / 2]).unwrap();
            return at(path, Err(e));
        }
        at(path, file.write_all(bytes))
    }

    /// Takes back what was appended behind the first `length` bytes.
    pub(super) fn truncate(&self, path: &Path, file: &File, length: u64) -> Result<(), DiskError> {
        at(path, self.before(Call::Truncate, path).and_then(|()| file.set_len(length)))
    }

    /// Makes a file's bytes durable. Once this has failed, nobody knows what of them is.
    pub(super) fn sync(&self, path: &Path, file: &File) -> Result<(), DiskError> {
        at(path, self.before(Call::Sync, path).and_then(|()| file.sync_data()))
    }

    /// Cuts a file off, durably.
    pub(super) fn cut_off(&self, path: &Path, length: u64) -> Result<(), DiskError> {
        let file = at(path, OpenOptions::new().write(true).open(path))?;
        self.truncate(path, &file, length)?;
        self.sync(path, &file)
    }

    /// Writes what a file already has at an offset once more, durably.
    pub(super) fn rewrite(&self, path: &Path, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let mut file = at(path, OpenOptions::new().write(true).open(path))?;
        at(path, file.seek(SeekFrom::Start(offset)).and_then(|_| file.write_all(bytes)))?;
        self.sync(path, &file)
    }

    /// Makes creations, renamings and deletions in a folder durable.
    pub(super) fn sync_folder(&self, path: &Path) -> Result<(), DiskError> {
        at(path, self.try_sync_folder(path))
    }

    fn try_sync_folder(&self, path: &Path) -> io::Result<()> {
        self.before(Call::SyncFolder, path).and_then(|()| folder::sync_folder(path))
    }

    /// Makes a folder durable together with those above it, any of which may be new.
    pub(super) fn sync_path_to(&self, folder: &Path) -> Result<(), DiskError> {
        folder::sync_path_to(folder, |path| self.try_sync_folder(path))
            .map_err(|(path, source)| DiskError::Io { path, source })
    }
}

/// Failures on demand.
#[cfg(test)]
pub(super) mod faults {
    use super::*;
    use std::collections::BTreeMap;
    use std::path::PathBuf;
    use std::sync::{Arc, Mutex};

    type Hook = dyn FnMut(Call, &Path) -> io::Result<()> + Send;

    /// Asked before every call; what it refuses is not done.
    #[derive(Clone)]
    pub(in crate::shell::disk) struct Faults(Arc<Mutex<Hook>>);

    static FAULTS: Mutex<BTreeMap<PathBuf, Faults>> = Mutex::new(BTreeMap::new());

    /// Makes calls fail, from the next opening of this data folder on.
    pub(in crate::shell::disk) fn install(
        folder: &Path,
        hook: impl FnMut(Call, &Path) -> io::Result<()> + Send + 'static,
    ) {
        FAULTS.lock().unwrap().insert(folder.to_owned(), Faults(Arc::new(Mutex::new(hook))));
    }

    /// Lets all calls go well again, from the next opening on.
    pub(in crate::shell::disk) fn remove(folder: &Path) {
        FAULTS.lock().unwrap().remove(folder);
    }

    pub(super) fn of(folder: &Path) -> Option<Faults> {
        FAULTS.lock().unwrap().get(folder).cloned()
    }

    impl Faults {
        pub(super) fn before(&self, call: Call, path: &Path) -> io::Result<()> {
            (self.0.lock().unwrap())(call, path)
        }
    }

    impl std::fmt::Debug for Faults {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("Faults")
        }
    }
}
