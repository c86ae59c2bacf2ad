//! The errors of copying a store.

use crate::store::StoreError;
use countree_common::cluster::NodeName;
use countree_common::shell::membership::LEASE;

/// The reason why there is no copy. The source was not changed.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// There is nothing to copy.
    #[error("{store} holds nothing of a cluster '{cluster}': say with --name which one is meant")]
    Nothing {
        /// The address.
        store: String,
        /// The cluster.
        cluster: NodeName,
    },
    /// A cluster uses the store.
    #[error(
        "{store} is in use by {nodes}: stop the cluster first; one that was killed counts as stopped after {} s",
        LEASE.as_secs()
    )]
    InUse {
        /// The store.
        store: String,
        /// The nodes.
        nodes: String,
    },
    /// There is something in the target.
    #[error("{store} is not empty: copy into an empty store, or take this cluster out of it first")]
    NotEmpty {
        /// The target.
        store: String,
    },
    /// The target holds half of another copy.
    #[error("{store} holds a part of a copy of {from}: finish that one, or empty it")]
    OtherCopy {
        /// The target.
        store: String,
        /// The source of that copy.
        from: String,
    },
    /// The source was used while it was copied.
    #[error(
        "{store} was changed while it was copied: stop what uses it, and repeat; the copy can't be used until then"
    )]
    Changed {
        /// The source.
        store: String,
    },
    /// The copy that was read back is not what was written.
    #[error("{what} is not the same in {store}: repeat the copy; it can't be used until then")]
    Different {
        /// The part that was compared.
        what: String,
        /// The target.
        store: String,
    },
    /// A store did not do its part.
    #[error("{store}: {error}")]
    Store {
        /// The store's address.
        store: String,
        /// Its error.
        error: StoreError,
    },
}
