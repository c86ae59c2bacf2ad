//! Faults: their kinds, the schedule that a seed draws, and how often each was injected.

mod kinds;
pub(crate) mod schedule;

pub use kinds::{Fault, Tally};
pub(crate) use kinds::{Heal, Mishap};
pub use schedule::{Only, Struck};
