//! Takes events in: sessions and batches, from arrival to ack.

mod admission;
pub(super) mod batches;
pub mod dictionary;
mod session_outcomes;
pub mod sessions;
