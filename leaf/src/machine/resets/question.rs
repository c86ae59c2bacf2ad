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
    /// Who is in the cluster, by the store's word?
    Members,
    /// Is all merged that this leaf has accepted by now, and does it not reset the topic itself? May be asked of this
    /// very leaf.
    Flush {
        /// The reset's.
        topic: Topic,
        /// Who is asked.
        leaf: Node,
        /// The version that was read before, 0-0 for none.
        read: Version,
    },
    /// What does the store hold of the reset's topic?
    Totals(Topic),
    /// May the store forget the topic, if its document stands at that version?
    Forget {
        /// Which.
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
    /// To [`Question::Flush`]: it is, in that version of the topic; 0-0 where there was nothing.
    Flushed(NodeName, Version),
    /// To [`Question::Totals`].
    Totals {
        /// Where the document stood.
        version: Version,
        /// What it held.
        totals: Vec<CounterTotal>,
    },
    /// To [`Question::Forget`].
    ForgetOutcome(ForgetOutcome),
    /// There is none.
    Silence,
}
