//! Errors of batches that are refused.

use crate::delta::DeltaError;
use crate::key::NameError;
use crate::limits;

/// The error of a batch that was refused, whole. Nothing of it was counted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The batch is malformed.
    #[error("the batch is malformed: {0}")]
    Malformed(&'static str),
    /// A name in it is bad.
    #[error("name {index} of the batch: {error}")]
    Name {
        /// The name's index in the batch, from 0.
        index: u32,
        /// The error.
        error: NameError,
    },
    /// An event's delta is bad.
    #[error("event {index} of the batch: {error}")]
    Delta {
        /// The event's index in the batch, from 0.
        index: u32,
        /// The error.
        error: DeltaError,
    },
    /// An event refers to a name that was not defined.
    #[error("event {index} of the batch refers to name {id}, and only {defined} are defined")]
    UnknownName {
        /// The event's index in the batch, from 0.
        index: u32,
        /// The id that it refers to.
        id: u32,
        /// Number of names that the connection has defined.
        defined: usize,
    },
    /// The batch has more events than one takes.
    #[error("the batch has {0} events; it takes 1 to {max}", max = limits::BATCH_EVENTS)]
    EventCount(u32),
}
