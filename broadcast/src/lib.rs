//! The broadcast tier: holds the latest document of every topic that somebody here watches, and sends
//! viewers what changed. Latest value wins: a slow viewer skips versions, nothing queues for it.
//!
//! [`machine`] decides; [`shell`] moves bytes and time.

pub mod machine;

#[cfg(feature = "shell")]
pub mod shell;
