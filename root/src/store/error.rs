//! The errors of a store, with what the operator can do about each.

use countree_common::cluster::NodeName;
use countree_common::store::StoreId;
use std::path::PathBuf;

/// The reason why a store did not answer. What was asked of it may have happened or not; a repeat is harmless.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No server there.
    #[error("no Redis answers at {address} ({reason}): start one, or set cluster.store")]
    Unreachable {
        /// The address, without credentials.
        address: String,
        /// The error.
        reason: String,
    },
    /// The server answers, and refuses the request as things are.
    #[error("Redis does not do it now: {advice} ({reason})")]
    Refused {
        /// The server's error.
        reason: String,
        /// The advice for the operator.
        advice: &'static str,
    },
    /// The server takes the question and does not answer.
    #[error(
        "Redis has not answered in time: see whether it is overloaded, stopped or cut off; it is asked again"
    )]
    Silent,
    /// The server, or the disk, could not do it now.
    #[error("the store failed: {0}")]
    Failed(String),
    /// The embedded store's disk could not do it now.
    #[error("the store's disk failed ({reason}): make room if it is full; it is tried again")]
    Disk {
        /// The system's error.
        reason: String,
        /// Whether it is for want of room.
        is_full: bool,
    },
    /// The file is in use.
    #[error("{path} is held by a running cluster: stop that one, or use another data folder")]
    Held {
        /// The file.
        path: PathBuf,
    },
    /// The file is another cluster's.
    #[error("{path} belongs to cluster '{owner}', not '{cluster}': use another data folder, or that name")]
    WrongCluster {
        /// The file.
        path: PathBuf,
        /// The cluster it belongs to.
        owner: String,
        /// The cluster that wanted it.
        cluster: NodeName,
    },
    /// The file was written by another version of Countree.
    #[error("{path} has format {found}; this version reads format {expected}")]
    WrongFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: String,
        /// The formats that are read here.
        expected: &'static str,
    },
    /// A copy into it was begun and not finished.
    #[error(
        "it holds a part of a copy of {from}: finish it with countree store copy (the same command again), or empty it"
    )]
    HalfCopied {
        /// The store that it is a copy of.
        from: String,
    },
    /// Another store stands where the one was that is served.
    #[error(
        "store {found} stands where store {bound} was: nothing is merged into it; /readyz of a root says more, and what to do"
    )]
    Other {
        /// The store that is there.
        found: StoreId,
        /// The store that is served.
        bound: StoreId,
    },
    /// The scan has to begin again: other servers hold its slots by now.
    #[error("the servers of the store changed while it was scanned: begin the scan again")]
    ScanBroken,
    /// Stored data is not what was written: it was changed by other hands, or is damaged.
    #[error("the store holds something else than Countree wrote: {0}")]
    Damaged(String),
}

impl StoreError {
    /// Whether waiting may help.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Refused { .. } | Self::Silent)
    }
}
