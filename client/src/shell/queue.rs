//! The producer's queue, which a lock guards.

use super::error::ClientError;
use crate::machine::producer::{Intake, NameId};
use std::collections::VecDeque;
use tokio::sync::oneshot;

/// Events and names that senders have queued.
#[derive(Debug)]
pub(super) struct Queue {
    /// At least one; only the last takes events.
    pub(super) intakes: VecDeque<Intake>,
    pub(super) generation: u32,
    pub(super) next_name: NameId,
    /// Events in `intakes`.
    pub(super) waiting: usize,
    /// Events that the machine holds and has not sent yet.
    pub(super) in_machine: usize,
    /// The number of waiting events that wakes the task.
    pub(super) wake_at: usize,
    pub(super) is_woken: bool,
    pub(super) has_blocked_senders: bool,
    pub(super) flushes: Vec<oneshot::Sender<()>>,
    pub(super) sent: u64,
    /// The reason why no more events are taken.
    pub(super) end: Option<ClientError>,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self {
            intakes: VecDeque::from([Intake::default()]),
            generation: 0,
            next_name: 0,
            waiting: 0,
            in_machine: 0,
            wake_at: 1,
            is_woken: false,
            has_blocked_senders: false,
            flushes: Vec::new(),
            sent: 0,
            end: None,
        }
    }

    /// Whether it is time to wake the task, which was not woken yet.
    pub(super) fn wakes(&mut self) -> bool {
        let wakes = self.waiting >= self.wake_at && !self.is_woken;
        self.is_woken |= wakes;
        wakes
    }
}

/// The contents of the queue, taken out at once by the producer's task.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) intakes: VecDeque<Intake>,
    pub(super) flushes: Vec<oneshot::Sender<()>>,
    /// Set when no events come after these.
    pub(super) is_last: bool,
}
