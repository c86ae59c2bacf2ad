//! A root's decisions: pure state machines.
//!
//! [`RootMachine`] takes messages of leaves and broadcast nodes, and decides what to merge, read and publish.
//! [`Registrar`] keeps the cluster's registry. [`documents`] holds the rule that every store obeys.
//! Inputs are `handle_*`, outputs are drained with `poll_output`.

pub mod audit;
pub mod documents;
pub mod identity;
mod ids;
pub mod merge;
mod output;
pub mod publishing;
pub mod registry;
mod root_machine;

pub use ids::{BatchId, ConnectionId, ReadId, StoreSilent};
pub use output::{LeafRefused, Output};
pub use registry::Registry;
pub use registry::registrar::Registrar;
pub use root_machine::RootMachine;
