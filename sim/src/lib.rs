//! Whole clusters of the real machines in one thread, from one seed.
//!
//! [`world`] holds a cluster: leaves, roots, broadcast nodes, producers and viewers, every decision of
//! which is made by the machines of their crates. Around them everything is simulated: [`clock`],
//! [`network`], [`disk`] and [`store`], all at the mercy of [`random`] and of the [`plan`] that a seed
//! stands for. [`truth`] knows what must come of it, and [`report`] says whether it did.
//!
//! What goes wrong is a numbered [`schedule`], any part of which can be left out: [`shrink`] finds a small part
//! that still breaks the promise.
//!
//! [`flaws`] breaks the rules of exactness one by one, to prove that the checks notice.

mod clock;
mod digits;
mod disk;
mod faults;
mod flaws;
mod happening;
mod network;
mod place;
mod plan;
mod promise;
mod random;
mod report;
mod resets;
mod schedule;
mod setting;
mod shrink;
mod store;
mod trace;
mod truth;
mod world;

pub use faults::{Fault, Tally};
pub use flaws::Flaw;
pub use promise::{Broken, Promise};
pub use report::{Run, Series, run};
pub use schedule::{Only, Struck};
pub use setting::{Arguments, Draw, Setting};
pub use shrink::{Shrunk, shrink};
