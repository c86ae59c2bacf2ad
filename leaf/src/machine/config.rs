//! Holds the settings of a leaf.

use countree_common::cluster::NodeName;
use std::time::Duration;

/// The settings of a leaf.
#[derive(Debug, Clone)]
pub struct LeafConfig {
    /// Its name, unique in the cluster.
    pub leaf: NodeName,
    /// The length of a window: how long it sums before it sends up.
    pub window: Duration,
    /// The time for which it remembers idle sessions and idempotency keys.
    pub horizon: Duration,
    /// The time for which merged records stay in the log when the store may forget.
    pub retention: Duration,
    /// The most bytes of log that it keeps.
    pub log_bytes: u64,
    /// A log segment is closed at about this many bytes.
    pub segment_bytes: u64,
    /// Events per second that it is meant to carry: items with too large a share of that are split.
    pub capacity: u64,
}

impl LeafConfig {
    /// A size of segments that suits most disks. Larger ones repeat names and checkpoints less often; smaller ones
    /// free the disk sooner.
    pub const SEGMENT_BYTES: u64 = 128 << 20;
}
