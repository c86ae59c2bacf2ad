//! Numbers of viewers, topics and checks, and the encodings that viewers take.

/// A viewer's number, chosen by the shell and never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ViewerId(pub u64);

/// The encoding that a viewer takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// Frames of [`countree_common::wire::viewer`], with bare `Changes` in datagrams: QUIC viewers.
    Frames,
    /// Server-Sent Events with JSON: HTTP viewers.
    Events,
}

/// A topic's number on this node. Reused only after [`KEEP_IDLE`](super::KEEP_IDLE), and then the longest
/// unused first, so that no viewer can mistake a late datagram of one topic for one of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicHandle(pub u32);

impl TopicHandle {
    /// The topic's index in the table of topics.
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A check's number; later checks have higher ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CheckId(pub(super) u64);

/// Number of the current set of leaves that are away; it goes up with every change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AwayId(u64);

impl AwayId {
    /// The number of the set that follows this one.
    pub(super) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}
