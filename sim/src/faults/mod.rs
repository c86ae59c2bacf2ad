//! Faults: their kinds, the schedule that a seed draws, and how often each was injected.

mod kinds;
pub(crate) mod schedule;

pub(crate) use kinds::{BackgroundFault, Heal};
pub use kinds::{Fault, Tally};
pub use schedule::{InjectedFault, Only};
