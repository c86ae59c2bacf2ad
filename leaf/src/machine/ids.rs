//! Names the conversations of a leaf by number.

/// A producer's connection, numbered by the shell.
pub type ConnectionId = u64;
/// A request that waits for its answer, from an HTTP client or another node, numbered by the shell.
pub type SubmissionId = u64;
