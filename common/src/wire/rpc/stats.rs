//! Figures that nodes report with their heartbeats.

use crate::key::{Item, Topic};
use crate::stream::StreamId;
use serde::{Deserialize, Serialize};

/// The figures of a node, sent with each heartbeat; those that do not apply to its tier are 0 or empty.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeStats {
    /// Leaf: events accepted, per second, over the last second or so. Root: events merged.
    pub events_per_s: f64,
    /// Leaf: age of the oldest event that is not merged yet, in milliseconds.
    pub lag_ms: u64,
    /// Leaf: producers. Broadcast node: viewers.
    pub connections: u64,
    /// Leaf: counters in memory. Broadcast node: topics.
    pub entries: u64,
    /// Leaf: bytes of log on disk.
    pub log_bytes: u64,
    /// Leaf: streams that are not wholly merged, or whose log is kept.
    pub streams: Vec<StreamId>,
    /// Leaf: its busiest items of the last second or so, with events per second.
    pub hot_items: Vec<(Topic, Item, f64)>,
    /// Leaf: the setting `leaf.capacity`, events per second; hot items are split by their share of it.
    pub capacity: f64,
    /// The reason why the node can't do its work right now; `None` if it can.
    pub trouble: Option<String>,
}
