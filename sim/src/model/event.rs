//! An event that a client was given, and the answer that the client got.

use countree_common::delta::Delta;
use countree_common::key::Counter;
use countree_common::time::Time;

/// An event's number.
pub(crate) type EventId = usize;

/// The last answer that a client got for an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventStatus {
    /// No answer yet.
    Pending,
    /// It is counted.
    Acked,
    /// It is counted or not.
    InDoubt,
    /// It is not counted.
    Rejected,
    /// Its producer died before an answer came.
    Abandoned,
}

/// An event.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// The counter that it adds to.
    pub(crate) counter: Counter,
    /// The amount that it adds.
    pub(crate) delta: Delta,
    /// The time at which the client got it.
    pub(crate) at: Time,
    /// The answer.
    pub(crate) status: EventStatus,
    /// The time of the answer.
    pub(crate) answered_at: Time,
    /// The leaf that a producer sent it to last.
    pub(crate) leaf: Option<usize>,
    /// Several requests brought it under one id: that one of them was refused says nothing of the others.
    pub(crate) is_shared: bool,
}
