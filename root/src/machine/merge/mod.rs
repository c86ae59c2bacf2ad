//! Merging cuts: the queue of cuts that wait for the store, and alerts about counters near their limit.

pub(super) mod limit_alerts;
pub mod queue;
