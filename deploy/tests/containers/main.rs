//! Tests compose.yaml with real containers: an image of this machine's own files, every tier resized under load,
//! containers stopped, paused, killed and cut off, and every event counted once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a failed step is a failed test"
)]

mod images;
mod project;
mod resizing;
#[path = "../shared/mod.rs"]
mod shared;
