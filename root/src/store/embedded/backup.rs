//! Backs the store up, in the process that has it open.

use super::Embedded;
use super::backup_progress::Backup;
use super::file::StoreFile;
use crate::store::StoreError;
use countree_common::shell::folder::sync_folder;
use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Files of a data folder, beside the store, that a restored one needs: the cluster's identity and certificate
/// authority.
const BESIDE: [&str; 3] = ["cluster", "tls/ca.pem", "tls/ca.key"];
/// The mode of a backup's folder: nobody else may read the authority's key.
const OWN_FOLDER: u32 = 0o700;

impl Embedded {
    /// Writes a backup into a folder that is not there yet, and tells how far it has come when it is asked again under
    /// the same id. Merges wait while the file is copied.
    pub fn back_up(&self, to: &Path, id: &str) -> Backup {
        if let Some(known) = self.backups.begin(id) {
            return known;
        }
        let (file, backups, to, id) = (self.file.clone(), self.backups.clone(), to.to_owned(), id.to_owned());
        tokio::task::spawn_blocking(move || {
            let state = match write(&file, &to) {
                Ok(bytes) => Backup::Done(bytes),
                Err(e) => Backup::Failed(e.to_string()),
            };
            backups.set(&id, state);
        });
        Backup::Running
    }
}

/// Writes it beside its place first: a folder that is there is whole.
fn write(file: &StoreFile, to: &Path) -> Result<u64, StoreError> {
    let at = |e: io::Error| StoreError::Failed(format!("{}: {e}", to.display()));
    if !to.is_absolute() || to.exists() {
        let to = to.display();
        return Err(StoreError::Failed(format!("{to} is there already: name a folder that is not")));
    }
    let mut part = to.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    if part.exists() {
        std::fs::remove_dir_all(&part).map_err(at)?;
    }
    DirBuilder::new().recursive(true).mode(OWN_FOLDER).create(part.join("tls")).map_err(at)?;
    std::fs::set_permissions(&part, Permissions::from_mode(OWN_FOLDER)).map_err(at)?;
    let bytes = file.copy_to(&part.join(super::FILE_NAME))?;
    for name in BESIDE {
        let from = file.folder().join(name);
        if from.exists() {
            std::fs::copy(&from, part.join(name)).map_err(at)?;
        }
    }
    sync_folder(&part.join("tls")).and_then(|()| sync_folder(&part)).map_err(at)?;
    std::fs::rename(&part, to).map_err(at)?;
    to.parent().map_or(Ok(()), sync_folder).map_err(at)?;
    Ok(bytes)
}
