//! One increment.

use crate::delta::Delta;
use crate::key::Counter;
use serde::{Deserialize, Serialize};

/// One increment of one counter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// What it counts for.
    pub counter: Counter,
    /// How much it adds.
    pub delta: Delta,
}
