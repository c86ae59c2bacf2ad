//! The bytes between producers, nodes and viewers. `docs/protocol.md` describes them for other clients.
//!
//! Every QUIC stream is a conversation: a sequence of [`frame`]s of which the first is a [`hello::Hello`].

pub mod batch;
pub mod codec;
pub mod frame;
pub mod hello;
pub mod keys;
pub mod producer;
pub mod publish;
pub mod rpc;
pub mod uplink;
pub mod viewer;

/// The ALPN protocol of producers, viewers and nodes.
pub const ALPN: &[u8] = b"countree/1";
