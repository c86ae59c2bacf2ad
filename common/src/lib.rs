//! The types, messages and node services that all tiers of Countree share.
//!
//! Everything outside [`shell`] is free of IO, clocks, randomness and threads, so that the
//! simulator can run it. `ARCHITECTURE.md` has the map.

pub mod access;
pub mod audit;
pub mod cluster;
pub mod cut;
pub mod delta;
pub mod document;
pub mod era;
pub mod event;
pub mod forget;
pub mod import;
pub mod indexed;
pub mod key;
pub mod ledger;
pub mod limits;
pub mod prefetch;
pub mod ring;
pub mod session;
pub mod stamp;
pub mod store;
pub mod stream;
pub mod time;
pub mod wire;

#[cfg(feature = "shell")]
pub mod config;
#[cfg(feature = "client")]
pub mod shell;
