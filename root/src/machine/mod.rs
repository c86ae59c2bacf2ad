//! A root's decisions: pure state machines.
//!
//! [`Root`] takes what leaves and broadcast nodes say and decides what to merge, read and publish.
//! [`Registrar`] keeps the cluster's registry. [`document`] is the rule that every store obeys.
//! Inputs are `handle_*`, outputs are drained with `poll_output`.

pub mod audit;
pub mod binding;
pub mod document;
pub mod eras;
mod fold;
mod gathered;
pub mod import;
mod imports;
pub mod interest;
mod key_record;
pub mod memory;
pub mod merge;
mod near;
mod open_streams;
pub mod registrar;
pub mod registry;
pub mod registry_text;
pub mod retired;
mod root;
pub mod splits;
pub mod standing;
pub mod watermark;

pub use registrar::Registrar;
pub use registry::Registry;
pub use root::{LeafRefused, Output, Root};

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
