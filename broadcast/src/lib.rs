//! The broadcast tier: holds the latest document of every topic that its viewers watch, and sends them the
//! changes. Latest value wins: a slow viewer skips versions, and no updates queue for it.
//!
//! [`machine`] decides; [`shell`] does the IO and keeps the time.

pub mod machine;

#[cfg(feature = "shell")]
pub mod shell;
