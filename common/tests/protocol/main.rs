//! The bytes of every message of every conversation, pinned, and `docs/protocol.md` and
//! `docs/protocol-nodes.md` checked against them.
//!
//! After a message was added or changed on purpose, `UPDATE_GOLDEN=1 cargo test -p countree-common --test
//! protocol` writes the bytes anew, and fails with the lines that the documents lack.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a failed step is a failed test"
)]

mod document;
mod golden;
mod sampler;
mod shape;
