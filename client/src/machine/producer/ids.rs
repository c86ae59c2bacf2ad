//! Numbers of connection attempts, flushes and names.

/// One attempt to connect to a leaf. Events of an older attempt are ignored.
pub type LinkId = u64;

/// One call of [`ProducerMachine::handle_flush`](super::ProducerMachine::handle_flush).
pub type FlushId = u64;

/// A counter's number within its generation of names.
pub type NameId = u32;
