//! The outputs of the registrar.

use super::ask::AskId;
use countree_common::cluster::ClusterView;
use countree_common::time::Time;
use countree_common::wire::rpc::Reply;
use std::time::Duration;

/// An output: something for the shell to do.
#[derive(Debug, Clone, PartialEq)]
pub enum RegistrarOutput {
    /// Load the registry; then [`Registrar::handle_loaded`].
    Load,
    /// Save it if its revision is still `expected`; then [`Registrar::handle_saved`].
    Save {
        /// The revision that it replaces; 0 for none.
        expected: u64,
        /// Its own revision.
        next: u64,
        /// The document.
        text: String,
    },
    /// Answer a question.
    Reply {
        /// The question.
        ask: AskId,
        /// The answer.
        reply: Reply,
    },
    /// The live nodes have changed.
    View(ClusterView),
    /// The view that was put out last was in the store when it was read, at this time.
    Confirmed(Time),
    /// The store holds a registry that is older by this much than one that it held before.
    FellBack(Duration),
}
