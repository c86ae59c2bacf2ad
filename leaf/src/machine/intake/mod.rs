//! Takes events in: sessions and batches, from arrival to ack.

pub(super) mod acks;
mod admission;
pub(super) mod batches;
pub mod dictionary;
mod session_outcomes;
pub mod sessions;
