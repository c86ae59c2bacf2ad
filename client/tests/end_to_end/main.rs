//! End-to-end tests of producers and viewers against fake leaves and broadcast nodes, over real QUIC.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "helpers of tests are tests, and poll with a deadline"
)]

mod broadcast;
mod cluster;
mod leaf;
mod producing;
mod viewing;
