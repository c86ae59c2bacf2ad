//! Whole clusters of the real machines in one thread, from one seed.
//!
//! [`world`] holds a cluster: leaves, roots, broadcast nodes, producers and viewers, every decision of
//! which is made by the machines of their crates. Around them everything is simulated: [`clock`],
//! [`network`], [`disk`] and [`store`], all at the mercy of [`random`] and of the [`plan`] that a seed
//! stands for. [`model`] knows the results that must come of it, and [`report`] says whether they did.
//!
//! The [`faults`] of a run are a numbered schedule, any part of which can be left out: [`shrink`] finds a small part
//! that still breaks the promise.
//!
//! [`flaws`] breaks the rules of exactness one by one, to prove that the checks notice.

mod clock;
mod disk;
mod faults;
mod flaws;
mod host;
mod model;
mod network;
mod plan;
mod random;
mod report;
mod setting;
mod shrink;
mod store;
mod trace;
mod world;

pub use faults::{Fault, InjectedFault, Only, Tally};
pub use flaws::Flaw;
pub use model::{Broken, Promise};
pub use report::{Run, Series, run};
pub use setting::{Arguments, Draw, Setting};
pub use shrink::{Shrunk, shrink};
