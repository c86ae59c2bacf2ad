//! Older copies of a stopped program's data folder, put in its place as a restored backup is.

use countree_common::shell::failure::Failure;
use std::fs;
use std::path::Path;

/// Puts the copy in the place of a stopped program's data that was made here the last time, and keeps what was there
/// as the next copy. The first time it only copies.
///
/// # Errors
/// When the data can't be copied.
pub(crate) fn restore(data: &Path) -> Result<(), Failure> {
    let (kept, now) = (data.with_extension("kept"), data.with_extension("now"));
    if !kept.exists() {
        return copy(data, &kept);
    }
    fs::rename(data, &now)?;
    fs::rename(&kept, data)?;
    fs::rename(&now, &kept)?;
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
