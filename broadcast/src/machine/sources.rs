//! Roots as sources of totals: the owner of each topic, the roots that were asked for it, and their progress.

use super::ids::TopicHandle;
use countree_common::cluster::NodeName;
use countree_common::document::Version;
use countree_common::era::SourceEra;
use countree_common::ring::Ring;
use countree_common::stamp::Stamp;
use countree_common::time::{Time, WallMs};
use countree_common::wire::publish::SnapshotAssembly;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

/// The roots that send one topic's totals: its owner, and for a while the owner before.
#[derive(Debug, Default)]
pub(super) struct Sources {
    pub(super) owner: Option<NodeName>,
    pub(super) by_root: BTreeMap<NodeName, Source>,
    /// The time up to which the totals were complete by the owner's last watermark that covered them; valid
    /// while they are of the same era.
    frozen: WallMs,
}

/// One root that sends a topic's totals.
#[derive(Debug, Default)]
pub(super) struct Source {
    /// The time of a request for a snapshot that has not arrived yet.
    pub(super) asked: Option<Time>,
    /// Whether a snapshot of it has arrived on the present link: only then do its updates continue from it.
    pub(super) joined: bool,
    /// The root's position in the topic's sequence of eras, on the present link.
    pub(super) followed: Option<SourceEra>,
    /// For a former owner: the time until which its messages are taken.
    pub(super) until: Option<Time>,
}

impl Sources {
    /// Forgets the frozen time, because another era begins.
    pub(super) fn thaw(&mut self) {
        self.frozen = WallMs(0);
    }

    /// Whether a snapshot is on its way from any root.
    pub(super) fn awaits_a_snapshot(&self) -> bool {
        self.by_root.values().any(|s| s.asked.is_some())
    }

    /// Returns the owner, if its watermark covers the document that is held here.
    fn speaker(&self) -> Option<&NodeName> {
        let owner = self.owner.as_ref()?;
        let source = self.by_root.get(owner)?;
        (source.joined && source.asked.is_none()).then_some(owner)
    }
}

/// A root of the view, or one that has just left it.
#[derive(Debug)]
pub(super) struct RootState {
    pub(super) address: SocketAddr,
    pub(super) connected: bool,
    /// The last watermark that it sent.
    pub(super) watermark: Stamp,
    pub(super) assembly: SnapshotAssembly,
    /// The time at which it left the view.
    pub(super) left: Option<Time>,
}

impl RootState {
    pub(super) fn new(address: SocketAddr) -> Self {
        let (watermark, assembly) = (Stamp::default(), SnapshotAssembly::default());
        Self { address, connected: false, watermark, assembly, left: None }
    }

    /// Handles the loss of the conversation: unfinished snapshots are void.
    pub(super) fn lost(&mut self) {
        *self = Self { left: self.left, ..Self::new(self.address) };
    }
}

/// Pairs of topic and root that become due in the order of their times.
pub(super) type Due = VecDeque<(Time, TopicHandle, NodeName)>;

/// All roots, and deadlines about them.
#[derive(Debug)]
pub(super) struct Roots {
    pub(super) ring: Ring,
    pub(super) states: BTreeMap<NodeName, RootState>,
    /// Requests for snapshots, oldest first. An entry is void if its source was asked at another time.
    pub(super) asked: Due,
    /// Former owners, with the times until which their messages are taken, earliest first. An entry is void
    /// if its source has another such time.
    pub(super) lingering: Due,
}

impl Default for Roots {
    fn default() -> Self {
        let (states, asked, lingering) = Default::default();
        Self { ring: Ring::new([]), states, asked, lingering }
    }
}

impl Roots {
    pub(super) fn is_connected(&self, root: &NodeName) -> bool {
        self.states.get(root).is_some_and(|l| l.connected)
    }

    /// Returns the time up to which every live leaf's events are in the document at that version. The owner's
    /// last watermark counts, even if it is earlier than the one before: each root goes by its own clock.
    pub(super) fn complete_to(&self, sources: &Sources, version: Version) -> WallMs {
        let owner = sources.speaker().and_then(|owner| self.states.get(owner));
        let told = owner.map(|state| state.watermark.completes(version));
        told.filter(|at| *at > WallMs(0)).unwrap_or(sources.frozen)
    }

    /// Keeps the time up to which the owner's watermark covers the document. Call it before a change after
    /// which the watermark may not cover the document any more.
    pub(super) fn freeze(&self, sources: &mut Sources, version: Option<Version>) {
        sources.frozen = version.map_or(WallMs(0), |version| self.complete_to(sources, version));
    }
}
