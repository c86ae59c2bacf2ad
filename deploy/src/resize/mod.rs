//! What a resize is made of, as `countree plan` shows it and `countree apply` follows it.

mod shares;
mod steps;

pub(crate) use shares::{Moves, Share};
pub(crate) use steps::{Sizes, steps};

use countree_common::cluster::NodeName;
use serde::{Deserialize, Serialize};

/// What happens to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Action {
    /// It is started.
    Start,
    /// It leaves gracefully.
    Drain,
}

/// How far a step has come.
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
    /// What happens to it.
    pub(crate) action: Action,
    /// How far that has come.
    pub(crate) state: State,
    /// How long it took, in seconds; 0 until it is over.
    pub(crate) seconds: f64,
}

/// A resize, as `/v1/manifest` answers it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Resize {
    /// Whether it is under way.
    pub(crate) running: bool,
    /// Why it came to its end early, if it did.
    pub(crate) failed: Option<String>,
    /// Its steps, in their order.
    pub(crate) steps: Vec<Step>,
}
