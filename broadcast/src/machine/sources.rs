//! Roots as sources of totals: the owner of each topic, the roots that were asked for it, and their progress.

use super::ids::Handle;
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
    /// How far the totals were complete when the owner's watermark last spoke for them; it holds for as long as they are of
    /// the same era.
    frozen: WallMs,
}

/// One root that sends a topic's totals.
#[derive(Debug, Default)]
pub(super) struct Source {
    /// When it was asked for a snapshot that has not come yet.
    pub(super) asked: Option<Time>,
    /// Whether a snapshot of it has come on the present link: only then does what it sends join up.
    pub(super) joined: bool,
    /// How far it has followed the topic's eras on the present link, on which it was asked.
    pub(super) followed: Option<SourceEra>,
    /// Once it is not the owner any more: until when it is listened to.
    pub(super) until: Option<Time>,
}

impl Sources {
    /// Another era begins: what was said of the one before says nothing of it.
    pub(super) fn thaw(&mut self) {
        self.frozen = WallMs(0);
    }

    /// Whether a snapshot is on its way from anyone.
    pub(super) fn awaits_a_snapshot(&self) -> bool {
        self.by_root.values().any(|s| s.asked.is_some())
    }

    /// The owner, if its watermark speaks for the document that is held here.
    fn speaker(&self) -> Option<&NodeName> {
        let owner = self.owner.as_ref()?;
        let source = self.by_root.get(owner)?;
        (source.joined && source.asked.is_none()).then_some(owner)
    }
}

/// A root of the view, or one that has just left it.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) address: SocketAddr,
    pub(super) connected: bool,
    /// The last one that it told.
    pub(super) watermark: Stamp,
    pub(super) assembly: SnapshotAssembly,
    /// When it went out of the view.
    pub(super) left: Option<Time>,
}

impl Link {
    pub(super) fn new(address: SocketAddr) -> Self {
        let (watermark, assembly) = (Stamp::default(), SnapshotAssembly::default());
        Self { address, connected: false, watermark, assembly, left: None }
    }

    /// The conversation broke off: what it was in the middle of is void.
    pub(super) fn lost(&mut self) {
        *self = Self { left: self.left, ..Self::new(self.address) };
    }
}

/// Things about a topic and a root that become due in the order of their times.
pub(super) type Due = VecDeque<(Time, Handle, NodeName)>;

/// All roots, and what is to be done about them later.
#[derive(Debug)]
pub(super) struct Roots {
    pub(super) ring: Ring,
    pub(super) links: BTreeMap<NodeName, Link>,
    /// Asked for snapshots, in the order of the asking. Void where the source says another time.
    pub(super) asked: Due,
    /// To be listened to no more from then on, in that order. Void where the source says another time.
    pub(super) lingering: Due,
}

impl Default for Roots {
    fn default() -> Self {
        let (links, asked, lingering) = Default::default();
        Self { ring: Ring::new([]), links, asked, lingering }
    }
}

impl Roots {
    pub(super) fn is_connected(&self, root: &NodeName) -> bool {
        self.links.get(root).is_some_and(|l| l.connected)
    }

    /// The time up to which every live leaf's events are in the document, which is at that version. It is what the owner
    /// told last, be it earlier than what was told before: roots go by their own times.
    pub(super) fn complete_to(&self, sources: &Sources, version: Version) -> WallMs {
        let owner = sources.speaker().and_then(|owner| self.links.get(owner));
        let told = owner.map(|link| link.watermark.completes(version));
        told.filter(|at| *at > WallMs(0)).unwrap_or(sources.frozen)
    }

    /// To be called before a change after which the owner's watermark may not speak for the document, if there is one.
    pub(super) fn freeze(&self, sources: &mut Sources, version: Option<Version>) {
        sources.frozen = version.map_or(WallMs(0), |version| self.complete_to(sources, version));
    }
}
