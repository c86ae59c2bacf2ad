//! The state that the tasks of a viewer share with its reader.

use super::error::ClientError;
use crate::machine::viewer::ViewerMachine;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The machine, and an error that ends the viewer, behind one lock.
#[derive(Debug, Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Wakes the reader.
    pub(super) changed: Notify,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) machine: ViewerMachine,
    pub(super) error: Option<ClientError>,
    pub(super) has_ended: bool,
}

impl Shared {
    pub(super) fn new(machine: ViewerMachine) -> Self {
        let state = State { machine, ..State::default() };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the machine act, and wakes the reader.
    pub(super) fn act<T>(&self, act: impl FnOnce(&mut ViewerMachine) -> T) -> T {
        let result = act(&mut self.state().machine);
        self.changed.notify_one();
        result
    }
}
