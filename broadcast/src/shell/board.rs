//! What the core puts up for all to read: HTTP threads look here without asking the core, and the core
//! writes without waiting for them.

use bytes::Bytes;
use countree_common::cluster::{ClusterView, Node, NodeName, Tier};
use countree_common::document::Version;
use countree_common::key::Topic;
use countree_common::ring::Ring;
use countree_common::time::WallMs;
use dashmap::DashMap;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::watch;

/// A snapshot event that any number of clients can be given.
#[derive(Debug, Clone)]
pub(super) struct SharedSnapshot {
    /// Where it stands; who has it subscribes from there on.
    pub(super) version: Version,
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

/// The board.
#[derive(Debug)]
pub(super) struct Board {
    /// Of topics that are watched over HTTP; at most as many as the core holds topics.
    snapshots: DashMap<Topic, SharedSnapshot>,
    /// By root; at most as many as there ever were roots while this node ran.
    watermarks: Mutex<BTreeMap<NodeName, watch::Sender<WallMs>>>,
    roots: RwLock<Arc<Roots>>,
}

impl Default for Board {
    fn default() -> Self {
        let roots = Roots { ring: Ring::new([]), nodes: Vec::new() };
        Self { snapshots: DashMap::new(), watermarks: Mutex::default(), roots: RwLock::new(Arc::new(roots)) }
    }
}

impl Board {
    pub(super) fn share(&self, topic: Topic, snapshot: SharedSnapshot) {
        self.snapshots.insert(topic, snapshot);
    }

    pub(super) fn unshare(&self, topic: &Topic) {
        self.snapshots.remove(topic);
    }

    pub(super) fn snapshot(&self, topic: &Topic) -> Option<SharedSnapshot> {
        self.snapshots.get(topic).map(|shared| shared.clone())
    }

    /// Takes the roots of a view.
    pub(super) fn learn(&self, view: &ClusterView) {
        let nodes: Vec<Node> = view.tier(Tier::Root).cloned().collect();
        let roots = Roots { ring: Ring::of(view, Tier::Root), nodes };
        *self.roots.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(roots);
    }

    pub(super) fn roots(&self) -> Arc<Roots> {
        self.roots.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes a root's watermark. It holds for good: what is merged stays merged, whoever loses a link.
    pub(super) fn mark(&self, root: &NodeName, to: WallMs) {
        let raise = |known: &mut WallMs| to > std::mem::replace(known, to.max(*known));
        self.watermark(root).send_if_modified(raise);
    }

    /// The root's watermark, to raise, to read or to follow.
    fn watermark(&self, root: &NodeName) -> watch::Sender<WallMs> {
        let mut watermarks = self.watermarks.lock().unwrap_or_else(PoisonError::into_inner);
        match watermarks.get(root) {
            Some(watermark) => watermark.clone(),
            None => watermarks.entry(root.clone()).or_default().clone(),
        }
    }

    /// Everything that live leaves acked up to here, of the topic, has been merged; 0 when not known yet.
    pub(super) fn complete_to(&self, topic: &Topic) -> WallMs {
        let roots = self.roots();
        roots.owner(topic).map_or(WallMs(0), |owner| *self.watermark(owner).borrow())
    }

    /// Waits until everything that was acked before `time`, of the topic, has been merged; at most `limit`.
    pub(super) async fn completed(&self, topic: &Topic, time: WallMs, limit: Duration) -> bool {
        let roots = self.roots();
        let Some(owner) = roots.owner(topic) else { return false };
        let mut watermark = self.watermark(owner).subscribe();
        // Milliseconds are cut off: only the next one says that this one is over.
        let passed = watermark.wait_for(|to| *to > time);
        tokio::time::timeout(limit, passed).await.is_ok_and(|passed| passed.is_ok())
    }
}
