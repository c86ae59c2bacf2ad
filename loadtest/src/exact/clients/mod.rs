//! The clients of a run: senders over QUIC and HTTP, viewers, and the times of acks.

pub(super) mod acks;
pub(super) mod http;
pub(super) mod quic;
pub(super) mod viewers;
