//! Publishing totals to broadcast nodes: who follows which topic, what one update holds, and how far totals are
//! complete.

pub(super) mod coalesced;
mod fold;
mod follower;
pub mod interest;
pub mod watermark;
