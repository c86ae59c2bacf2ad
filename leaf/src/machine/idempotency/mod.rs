//! Counts each request once, however often it is sent and wherever.

mod answers;
pub(super) mod handover;
pub(super) mod keyed_events;
pub mod keys;
pub(super) mod lookup;
mod submissions;
pub mod verdict;
