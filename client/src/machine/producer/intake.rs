//! Events on their way from senders to the machine.

use super::ids::NameId;
use countree_common::delta::Delta;
use countree_common::key::Counter;
use countree_common::time::Time;

/// Events as they are handed over: names by number, each number defined before it is used.
#[derive(Debug, Default)]
pub struct Intake {
    /// Numbers start again from 0 with the first of `names`.
    pub restarts_names: bool,
    /// The next numbers.
    pub names: Vec<Counter>,
    /// The events.
    pub events: Vec<(NameId, Delta)>,
    /// The time at which the first of them was queued.
    pub first_queued: Time,
}
