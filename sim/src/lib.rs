//! Whole clusters of the real machines in one thread, from one seed.
//!
//! [`world`] holds a cluster: leaves, roots, broadcast nodes, producers and viewers, every decision of
//! which is made by the machines of their crates. Around them everything is simulated: [`clock`],
//! [`network`], [`disk`] and [`store`], all at the mercy of [`random`] and of the [`plan`] that a seed
//! stands for. [`truth`] knows what must come of it, and [`report`] says whether it did.
//!
//! [`flaws`] breaks the rules of exactness one by one, to prove that the checks notice.

mod clock;
mod disk;
mod faults;
mod flaws;
mod happening;
mod known;
mod network;
mod place;
mod plan;
mod random;
mod report;
mod store;
mod trace;
mod truth;
mod world;

pub use faults::{Fault, Tally};
pub use flaws::Flaw;
pub use known::{KNOWN, Known};
pub use plan::Setting;
pub use report::{Run, Series, run};
