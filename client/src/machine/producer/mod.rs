//! The exactness rules of a producer, without IO.
//!
//! [`ProducerMachine`] routes events to leaves. A [`leaf_connection`] stands for one leaf, at whatever
//! address: it owns a numbered [`session`], so that a batch that was once sent there is repeated there, and
//! nowhere else, until that leaf has answered. A batch that was never sent may go to any leaf.

pub mod backlog;
pub mod batch;
pub mod dictionary;
mod ids;
mod intake;
pub mod leaf_connection;
mod machine;
pub mod names;
mod options;
mod output;
pub mod routing;
pub mod session;

pub use ids::{FlushId, LinkId, NameId};
pub use intake::Intake;
pub use machine::ProducerMachine;
pub use options::ProducerOptions;
pub use output::{Fate, Outgoing, Output, Resolved};

#[cfg(test)]
#[path = "tests/mod.rs"]
mod tests;
