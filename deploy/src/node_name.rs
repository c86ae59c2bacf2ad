//! Claims a node's name and its data folder on this machine.

use countree_common::cluster::{NodeName, Tier};
use countree_common::config::node::NodeSettings;
use countree_common::limits::REPLICAS_MAX;
use countree_common::shell::failure::Failure;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// A node's name and data folder; no other node on the same folder gets the name until this is dropped.
#[derive(Debug)]
pub(crate) struct ClaimedName {
    /// The node's name.
    pub(crate) name: NodeName,
    /// Its data folder.
    pub(crate) data: PathBuf,
    /// The lock on the name; the kernel releases it when the process dies. `None` for a configured name.
    _lock: Option<File>,
}

impl ClaimedName {
    /// Takes the configured name, or the first free one of the tier in the data folder.
    pub(crate) fn claim(tier: Tier, node: &NodeSettings) -> Result<Self, Failure> {
        if let Some(name) = node.name.clone() {
            return Ok(Self { name, data: node.data.clone(), _lock: None });
        }
        let (name, lock) = free_name(tier, &node.data)?;
        let data = node.data.join(name.as_str());
        tracing::info!(%name, "took the first free name");
        Ok(Self { name, data, _lock: Some(lock) })
    }
}

/// Locks the lowest free name. Replicas of a tier that share a folder get their names in the order of their start,
/// and the next replica takes over the name and the log of one that has ended: so no log waits for an owner longer
/// than a start takes.
fn free_name(tier: Tier, folder: &Path) -> Result<(NodeName, File), Failure> {
    let failed = |path: &Path, e: std::io::Error| Failure::failed(format!("{}: {e}", path.display()));
    std::fs::create_dir_all(folder).map_err(|e| failed(folder, e))?;
    for index in 0..REPLICAS_MAX {
        let name = NodeName::new(&format!("{tier}-{index}"))?;
        let path = folder.join(format!("{name}.held"));
        let file = File::options().create(true).append(true).open(&path).map_err(|e| failed(&path, e))?;
        match file.try_lock() {
            Ok(()) => return Ok((name, file)),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(e)) => return Err(failed(&path, e)),
        }
    }
    let folder = folder.display();
    Err(Failure::failed(format!(
        "{REPLICAS_MAX} {tier} nodes run on {folder}: give the others another folder"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_on_one_folder_take_the_lowest_free_names() {
        let folder = tempfile::tempdir().unwrap();
        let take = || free_name(Tier::Leaf, folder.path()).unwrap();
        let (first, second, third) = (take(), take(), take());
        let names = [&first, &second, &third].map(|(name, _)| name.to_string());
        assert_eq!(names, ["leaf-0", "leaf-1", "leaf-2"]);
        assert_eq!(
            free_name(Tier::Root, folder.path()).unwrap().0.as_str(),
            "root-0",
            "tiers do not compete"
        );
        drop(second);
        assert_eq!(take().0.as_str(), "leaf-1", "what it left behind has an owner again");
    }
}
