//! Numbers of connection attempts, flushes and names.

/// One attempt to connect to a leaf. Events of an older attempt are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId(pub u64);

impl LinkId {
    /// The number after this one.
    pub(super) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// One call of [`ProducerMachine::handle_flush`](super::ProducerMachine::handle_flush).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlushId(pub u64);

impl FlushId {
    /// The number after this one.
    pub(super) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A counter's number within its generation of names.
pub type NameId = u32;
