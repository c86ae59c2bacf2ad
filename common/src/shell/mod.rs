//! What every shell shares: QUIC, TLS, HTTP, membership, telemetry, time and shutdown.

#![allow(clippy::disallowed_methods, reason = "shells are where clocks and threads are allowed")]

pub mod access;
pub mod clock;
pub mod failure;
pub mod folder;
pub mod http;
pub mod identity;
pub mod lookup;
pub mod membership;
pub mod metrics;
pub mod node;
pub mod overview;
pub mod peers;
pub mod quic;
pub mod routes;
pub mod server;
pub mod shutdown;
pub mod store_memory;
pub mod telemetry;
