//! Numbers of connections, merges and reads.

/// One conversation with a leaf or a broadcast node. The shell numbers them and never uses a number twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// One merge under way in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BatchId(pub u64);

/// One read under way in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReadId(pub u64);

/// The store could not be asked, or did not answer: what was asked of it may have happened or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreSilent;
