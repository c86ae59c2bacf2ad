//! The cache of snapshots, watermarks and roots that the core publishes. HTTP threads read it without asking
//! the core, and the core writes without waiting for them.

use super::away::AwayCache;
use crate::machine::AwayId;
use bytes::Bytes;
use countree_common::cluster::{ClusterView, Node, NodeName, Tier};
use countree_common::document::Version;
use countree_common::key::Topic;
use countree_common::ring::Ring;
use countree_common::stamp::Stamp;
use dashmap::DashMap;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// A snapshot event that many clients can be sent.
#[derive(Debug, Clone)]
pub(super) struct SharedSnapshot {
    /// Its version; a client that has it subscribes from there on.
    pub(super) version: Version,
    /// The set of leaves that it names as away.
    pub(super) away: AwayId,
    /// The event.
    pub(super) event: Bytes,
}

/// The roots of a view.
#[derive(Debug)]
pub(super) struct Roots {
    ring: Ring,
    nodes: Vec<Node>,
}

impl Roots {
    /// All roots, the topic's owner first.
    pub(super) fn for_topic(&self, topic: &Topic) -> Vec<&Node> {
        let owner = self.ring.topic_owner(topic);
        let mut nodes: Vec<&Node> = self.nodes.iter().collect();
        nodes.sort_by_key(|node| Some(&node.name) != owner);
        nodes
    }

    /// The root that owns the topic.
    pub(super) fn owner(&self, topic: &Topic) -> Option<&NodeName> {
        self.ring.topic_owner(topic)
    }
}

/// The values that the core publishes.
#[derive(Debug)]
pub(super) struct SnapshotCache {
    /// Snapshots of topics that are watched over HTTP; at most as many as the core holds topics.
    snapshots: DashMap<Topic, SharedSnapshot>,
    /// The last watermark of each root; at most as many as there were roots while this node ran.
    watermarks: Mutex<BTreeMap<NodeName, Stamp>>,
    roots: RwLock<Arc<Roots>>,
    pub(super) away: AwayCache,
}

impl Default for SnapshotCache {
    fn default() -> Self {
        let roots = Roots { ring: Ring::new([]), nodes: Vec::new() };
        let roots = RwLock::new(Arc::new(roots));
        Self { snapshots: DashMap::new(), watermarks: Mutex::default(), roots, away: AwayCache::default() }
    }
}

impl SnapshotCache {
    pub(super) fn share(&self, topic: Topic, snapshot: SharedSnapshot) {
        self.snapshots.insert(topic, snapshot);
    }

    pub(super) fn unshare(&self, topic: &Topic) {
        self.snapshots.remove(topic);
    }

    pub(super) fn snapshot(&self, topic: &Topic) -> Option<SharedSnapshot> {
        self.snapshots.get(topic).map(|shared| shared.clone())
    }

    /// Takes over the roots of a view.
    pub(super) fn learn(&self, view: &ClusterView) {
        let nodes: Vec<Node> = view.tier(Tier::Root).cloned().collect();
        let roots = Roots { ring: Ring::of(view, Tier::Root), nodes };
        *self.roots.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(roots);
    }

    pub(super) fn roots(&self) -> Arc<Roots> {
        self.roots.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes over a root's watermark. It holds, for totals of its era, until the root sends another: merges
    /// stay, even when a link is lost.
    pub(super) fn mark(&self, root: &NodeName, watermark: Stamp) {
        self.watermarks().insert(root.clone(), watermark);
    }

    fn watermarks(&self) -> MutexGuard<'_, BTreeMap<NodeName, Stamp>> {
        self.watermarks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the time up to which events of the topic that live leaves acked are merged, in this era of the
    /// store.
    pub(super) fn watermark(&self, topic: &Topic) -> Stamp {
        let roots = self.roots();
        roots.owner(topic).and_then(|owner| self.watermarks().get(owner).copied()).unwrap_or_default()
    }
}
