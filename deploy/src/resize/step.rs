//! The steps of a resize and their progress, as `/v1/manifest` reports them.

use countree_common::cluster::NodeName;
use serde::{Deserialize, Serialize};

/// A change to one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Action {
    /// It is started.
    Start,
    /// It leaves gracefully.
    Drain,
}

/// Progress of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// Not begun.
    Waiting,
    /// Under way.
    Running,
    /// Done.
    Done,
    /// It could not be done; those after it were not begun.
    Failed,
}

/// One node that comes or goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Step {
    /// The node.
    pub(crate) node: NodeName,
    /// Whether it starts or leaves.
    pub(crate) action: Action,
    /// Progress of the step.
    pub(crate) state: State,
    /// Time that it took, in seconds; 0 until it is over.
    pub(crate) seconds: f64,
}

/// A resize, as `/v1/manifest` reports it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Resize {
    /// Whether it is under way.
    pub(crate) running: bool,
    /// The reason of an early end, if it has failed.
    pub(crate) failed: Option<String>,
    /// Its steps, in order.
    pub(crate) steps: Vec<Step>,
}
