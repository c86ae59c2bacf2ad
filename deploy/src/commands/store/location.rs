//! The location of a store: a data folder, or a URL.

use countree_common::cluster::NodeName;
use countree_common::config::manifest::StoreUrl;
use countree_common::shell::failure::Failure;
use countree_common::shell::folder::DataFolder;
use countree_root::store::{self, AnyStore, Embedded};
use std::path::PathBuf;
use std::sync::Arc;

/// The default name of a cluster, as in a manifest.
const UNNAMED: &str = "local";

/// A store as the command line names it.
#[derive(Debug, Clone)]
pub(super) enum StoreLocation {
    Folder(PathBuf),
    Url(StoreUrl),
}

/// An open store; the lock on its folder, if it has one, is held as long.
pub(super) struct Opened {
    pub(super) store: Arc<AnyStore>,
    /// Its location, without credentials.
    pub(super) name: String,
    _folder: Option<DataFolder>,
}

impl StoreLocation {
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        if !text.contains("://") {
            return Ok(Self::Folder(text.into()));
        }
        text.parse().map(Self::Url).map_err(|()| {
            Failure::usage(format!(
                "'{text}' is no store: it takes a data folder, redis://host:port, rediss://host:port or redis-cluster://host:port,host:port"
            ))
        })
    }

    /// Reads the name of the cluster whose store is in the folder; `None` for a URL.
    pub(super) fn owner(&self) -> Result<Option<NodeName>, Failure> {
        match self {
            Self::Folder(folder) => Ok(Embedded::owner(folder)?),
            Self::Url(_) => Ok(None),
        }
    }

    /// Refuses a folder without a store in it.
    pub(super) fn must_exist(&self) -> Result<(), Failure> {
        match self {
            Self::Folder(folder) if Embedded::owner(folder)?.is_none() => Err(Failure::failed(format!(
                "there is no embedded store in {}: name the data folder that holds {}",
                folder.display(),
                store::embedded::FILE_NAME
            ))),
            _ => Ok(()),
        }
    }

    /// Opens it, even when a copy into it was interrupted.
    pub(super) async fn open(&self, cluster: &NodeName) -> Result<Opened, Failure> {
        match self {
            Self::Folder(folder) => {
                let held = DataFolder::claim(folder, cluster)?;
                let store = store::open_any(&StoreUrl::Embedded, folder, cluster).await?;
                let name = folder.canonicalize()?.display().to_string();
                Ok(Opened { store: Arc::new(store), name, _folder: Some(held) })
            }
            Self::Url(url) => {
                let store = store::open_any(url, &PathBuf::new(), cluster).await?;
                Ok(Opened { store: Arc::new(store), name: url.to_string(), _folder: None })
            }
        }
    }
}

/// Picks the cluster's name: the given one, else that in one of the stores, else the default.
pub(super) fn cluster(said: Option<NodeName>, stores: &[&StoreLocation]) -> Result<NodeName, Failure> {
    if let Some(said) = said {
        return Ok(said);
    }
    for store in stores {
        if let Some(owner) = store.owner()? {
            return Ok(owner);
        }
    }
    Ok(NodeName::new(UNNAMED)?)
}
