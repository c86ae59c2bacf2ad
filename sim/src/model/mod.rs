//! The reference model: every event and reset that clients were given, and the promises that a cluster keeps about them.

mod event_encoding;
mod promise;
mod reference;
mod resets;

pub use promise::{Broken, Promise};
pub(crate) use reference::*;
pub(crate) use resets::ResetId;
