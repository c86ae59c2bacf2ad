//! Events.

use crate::delta::Delta;
use crate::key::Counter;
use serde::{Deserialize, Serialize};

/// One increment of one counter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The counter.
    pub counter: Counter,
    /// The increment.
    pub delta: Delta,
}
