//! A root's decisions: pure state machines.
//!
//! [`Root`] takes what leaves and broadcast nodes say and decides what to merge, read and publish.
//! [`Registrar`] keeps the cluster's registry. [`documents`] holds the rule that every store obeys.
//! Inputs are `handle_*`, outputs are drained with `poll_output`.

pub mod audit;
pub mod documents;
pub mod identity;
pub mod merge;
pub mod publishing;
pub mod registry;
mod root_machine;

pub use registry::Registry;
pub use registry::registrar::Registrar;
pub use root_machine::{LeafRefused, Output, Root};

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
