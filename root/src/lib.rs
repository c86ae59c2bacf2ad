//! The root tier: merges the leaves' cuts into the store and publishes the new totals.
//!
//! [`machine`] holds every decision, without IO. [`store`] keeps topic documents and the registry,
//! in Redis or in one file. [`shell`] moves bytes and time between the two and the network.
//! A root keeps nothing that it could lose: the store is the truth.

pub mod machine;

#[cfg(feature = "shell")]
pub mod shell;
#[cfg(feature = "shell")]
pub mod store;
