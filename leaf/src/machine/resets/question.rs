//! Names the questions that a reset has to the cluster, and their answers.

#[cfg(doc)]
use crate::machine::LeafMachine;
use countree_common::cluster::{ClusterView, Node, NodeName};
use countree_common::document::{CounterTotal, Version};
use countree_common::forget::ForgetOutcome;
use countree_common::key::Topic;

/// A question that a reset has to the cluster. The shell asks it, and answers with [`LeafMachine::handle_answer`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Asks for the members of the cluster, by the store's word.
    Members,
    /// Asks a leaf, perhaps this one, to say when all is merged that it has accepted by now. It refuses while it resets
    /// the topic itself.
    Flush {
        /// The reset's topic.
        topic: Topic,
        /// The leaf to ask.
        leaf: Node,
        /// The version that was read before, 0-0 for none.
        read: Version,
    },
    /// Asks for the totals that the store holds of the reset's topic.
    Totals(Topic),
    /// Asks the store to forget the topic, if its document stands at that version.
    Forget {
        /// The topic.
        topic: Topic,
        /// The version that holds all that every leaf said.
        at: Version,
    },
}

/// The cluster's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To [`Question::Members`].
    Members {
        /// The live nodes.
        view: ClusterView,
        /// Leaves that are not live and may hold events that are not merged.
        away: Vec<NodeName>,
    },
    /// To [`Question::Flush`]: all is merged, in that version of the topic; 0-0 where there was nothing.
    Flushed(NodeName, Version),
    /// To [`Question::Totals`].
    Totals {
        /// The version of the document.
        version: Version,
        /// Its totals.
        totals: Vec<CounterTotal>,
    },
    /// To [`Question::Forget`].
    ForgetOutcome(ForgetOutcome),
    /// There is no answer.
    Silence,
}
