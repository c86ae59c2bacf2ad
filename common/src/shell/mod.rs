//! The services that every shell shares: QUIC, TLS, HTTP, membership, telemetry, time and shutdown.

#![allow(clippy::disallowed_methods, reason = "shells are where clocks and threads are allowed")]

pub mod http;
pub mod peers;
pub mod quic;
pub mod tls;

#[cfg(feature = "shell")]
pub mod access;
#[cfg(feature = "shell")]
pub mod clock;
#[cfg(feature = "shell")]
pub mod failure;
#[cfg(feature = "shell")]
pub mod folder;
#[cfg(feature = "shell")]
pub mod gate;
#[cfg(feature = "shell")]
pub mod identity;
#[cfg(feature = "shell")]
pub mod lookup;
#[cfg(feature = "shell")]
pub mod membership;
#[cfg(feature = "shell")]
pub mod metrics;
#[cfg(feature = "shell")]
pub mod node;
#[cfg(feature = "shell")]
pub mod overview;
#[cfg(feature = "shell")]
pub mod routes;
#[cfg(feature = "shell")]
pub mod server;
#[cfg(feature = "shell")]
pub mod shutdown;
#[cfg(feature = "shell")]
pub mod store_memory;
#[cfg(feature = "shell")]
pub mod tasks;
#[cfg(feature = "shell")]
pub mod telemetry;
