//! The reference model: every event and reset that clients were given, and the promises that a cluster keeps about
//! them.

mod check;
mod event;
mod event_encoding;
mod losses;
mod promise;
mod reference;
mod resets;

pub(crate) use check::by_counter;
pub(crate) use event::{EventId, EventStatus};
pub use promise::{Broken, Promise};
pub(crate) use reference::ReferenceModel;
pub(crate) use resets::ResetId;
