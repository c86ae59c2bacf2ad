//! Tests tiers on hosts of their own: network namespaces with their own addresses, cut apart and joined under load.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a failed step is a failed test"
)]

mod host;
mod network;
mod partitions;
#[path = "../shared/mod.rs"]
mod shared;
