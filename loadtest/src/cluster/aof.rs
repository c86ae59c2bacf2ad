//! Damage to a Redis server's append-only file.

use countree_common::shell::failure::Failure;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

/// Cuts off the end of a stopped server's log, up to half of it, as a power cut or a replica that lagged does: it
/// starts again with the state of an earlier moment.
///
/// # Errors
/// When there is no log, or it can't be cut.
pub(crate) fn forget(data: &Path, bytes: u64) -> Result<(), Failure> {
    let is_log = |path: &PathBuf| path.to_string_lossy().ends_with(".incr.aof");
    let folder = data.join("appendonlydir");
    let files = fs::read_dir(&folder)?.map(|entry| entry.map(|entry| entry.path()));
    let logs: Vec<_> = files.collect::<Result<Vec<_>, _>>()?.into_iter().filter(is_log).collect();
    let [log] = logs.as_slice() else {
        return Err(Failure::failed(format!("{} holds {} logs, not one", folder.display(), logs.len())));
    };
    let log = OpenOptions::new().write(true).open(log)?;
    let length = log.metadata()?.len();
    log.set_len(length - bytes.min(length / 2))?;
    Ok(())
}
