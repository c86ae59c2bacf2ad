//! The queue between senders and the producer's task. It costs a lock and a push per event, and wakes the
//! task only when that would not look in time.

use super::error::ClientError;
use super::handle::{CounterHandle, NameRef};
use super::queue::{Queue, Taken};
use super::tally::Tally;
use super::timeline::Timeline;
use crate::machine::producer::{Intake, NameId};
use countree_common::delta::Delta;
use countree_common::key::Counter;
use dashmap::DashMap;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::{Notify, oneshot};

/// Most names that a producer holds; with more it starts a new generation.
const NAMES_MAX: NameId = 4 << 20;
/// Most events that are queued under one lock.
const PUSHED_AT_ONCE: usize = 256;
/// Most errors in a tally; older ones are dropped.
const ERRORS_KEPT: usize = 8;

/// The queue that all copies of a producer share with its task.
#[derive(Debug)]
pub(super) struct Inbox {
    names: DashMap<Counter, NameRef>,
    names_max: NameId,
    queue: Mutex<Queue>,
    room: usize,
    /// Wakes the task.
    pub(super) wake: Notify,
    /// Wakes senders that wait for room.
    has_room: Notify,
    outcome: Mutex<Tally>,
    timeline: Timeline,
}

enum Pushed {
    /// The number of events that were taken.
    Done(usize),
    Full,
    Stale,
}

impl Inbox {
    pub(super) fn new(room: usize, timeline: Timeline) -> Self {
        Self::with_names_max(room, timeline, NAMES_MAX)
    }

    fn with_names_max(room: usize, timeline: Timeline, names_max: NameId) -> Self {
        Self {
            names: DashMap::new(),
            names_max: names_max.max(1),
            queue: Mutex::new(Queue::new()),
            room: room.max(1),
            wake: Notify::new(),
            has_room: Notify::new(),
            outcome: Mutex::default(),
            timeline,
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues an event; waits while the queue is full.
    pub(super) async fn send(&self, counter: &Counter, delta: Delta) -> Result<(), ClientError> {
        let name_ref = self.name_ref(counter)?;
        self.push_at(name_ref, counter, delta, None).await.map(|_| ())
    }

    /// Queues an event for a known counter, due at `due` if that was earlier than now.
    pub(super) async fn send_to(
        &self,
        handle: &CounterHandle,
        delta: Delta,
        due: Option<Instant>,
    ) -> Result<(), ClientError> {
        let known = handle.name_ref();
        let name_ref = self.push_at(known, handle.counter(), delta, due).await?;
        if name_ref != known {
            handle.renumber(name_ref);
        }
        Ok(())
    }

    /// Queues events for known counters, in their order; the first was due at `due` if that was earlier than
    /// now.
    pub(super) async fn send_all(
        &self,
        events: &[(&CounterHandle, Delta)],
        due: Option<Instant>,
    ) -> Result<(), ClientError> {
        let mut rest = events;
        while let Some((&(handle, delta), after)) = rest.split_first() {
            // Before the lock, since handles miss the cache: so the misses overlap, and no other sender waits
            // for them.
            let next = rest.iter().take(PUSHED_AT_ONCE).map(|(handle, delta)| (handle.name_ref(), *delta));
            if let Pushed::Done(taken) = self.try_push(&next.collect::<Vec<_>>(), due)? {
                rest = rest.get(taken..).unwrap_or_default();
                tokio::task::consume_budget().await;
            } else {
                // It waits for room, or is numbered anew.
                self.send_to(handle, delta, due).await?;
                rest = after;
            }
        }
        Ok(())
    }

    pub(super) fn handle(&self, counter: &Counter) -> Result<CounterHandle, ClientError> {
        Ok(CounterHandle::new(counter.clone(), self.name_ref(counter)?))
    }

    /// Returns the counter's number, or the next free one if it has none.
    fn name_ref(&self, counter: &Counter) -> Result<NameRef, ClientError> {
        if let Some(name_ref) = self.names.get(counter) {
            return Ok(*name_ref);
        }
        let mut queue = self.queue();
        if let Some(end) = &queue.end {
            return Err(end.clone());
        }
        // Numbers are defined only under the queue's lock, so a number that is found here is defined in the
        // queue.
        if let Some(name_ref) = self.names.get(counter) {
            return Ok(*name_ref);
        }
        if queue.next_name >= self.names_max {
            self.names.clear();
            queue.generation = queue.generation.wrapping_add(1);
            queue.next_name = 0;
            queue.intakes.push_back(Intake { restarts_names: true, ..Intake::default() });
        }
        let name_ref = NameRef { generation: queue.generation, name: queue.next_name };
        queue.next_name += 1;
        if let Some(intake) = queue.intakes.back_mut() {
            intake.names.push(counter.clone());
        }
        self.names.insert(counter.clone(), name_ref);
        Ok(name_ref)
    }

    async fn push_at(
        &self,
        mut name_ref: NameRef,
        counter: &Counter,
        delta: Delta,
        due: Option<Instant>,
    ) -> Result<NameRef, ClientError> {
        loop {
            match self.try_push(&[(name_ref, delta)], due)? {
                Pushed::Done(_) => break,
                Pushed::Stale => name_ref = self.name_ref(counter)?,
                Pushed::Full => {
                    let mut has_room = std::pin::pin!(self.has_room.notified());
                    has_room.as_mut().enable();
                    // Room may have appeared since the check above.
                    match self.try_push(&[(name_ref, delta)], due)? {
                        Pushed::Done(_) => break,
                        Pushed::Stale => {}
                        Pushed::Full => has_room.await,
                    }
                }
            }
        }
        // A tight loop of sends must let the producer's task run on the same thread.
        tokio::task::consume_budget().await;
        Ok(name_ref)
    }

    /// Queues the first of these events, up to one without room or with a stale number. There is at least one
    /// event.
    fn try_push(&self, events: &[(NameRef, Delta)], due: Option<Instant>) -> Result<Pushed, ClientError> {
        let mut guard = self.queue();
        let queue = &mut *guard;
        if let Some(end) = &queue.end {
            return Err(end.clone());
        }
        if events.first().is_some_and(|(name_ref, _)| name_ref.generation != queue.generation) {
            return Ok(Pushed::Stale);
        }
        let room = self.room.saturating_sub(queue.waiting + queue.in_machine);
        if room == 0 {
            queue.has_blocked_senders = true;
            return Ok(Pushed::Full);
        }
        let Some(intake) = queue.intakes.back_mut() else { return Err(ClientError::Stopped) };
        self.note_queued(intake, due);
        let before = intake.events.len();
        let fitting =
            events.iter().take(room).take_while(|(name_ref, _)| name_ref.generation == queue.generation);
        intake.events.extend(fitting.map(|(name_ref, delta)| (name_ref.name, *delta)));
        let taken = intake.events.len() - before;
        queue.waiting += taken;
        queue.sent += taken as u64;
        let wakes = queue.wakes();
        drop(guard);
        if wakes {
            self.wake.notify_one();
        }
        Ok(Pushed::Done(taken))
    }

    /// Notes that events are queued there, of which the first was due at `due` if that was earlier than now.
    fn note_queued(&self, intake: &mut Intake, due: Option<Instant>) {
        if intake.events.is_empty() {
            intake.first_queued = self.timeline.now();
        }
        if let Some(due) = due {
            intake.first_queued = intake.first_queued.min(self.timeline.time(due));
        }
    }

    /// Returns a receiver that fires once every event sent before is resolved.
    pub(super) fn flush(&self) -> Result<oneshot::Receiver<()>, ClientError> {
        let (done, is_done) = oneshot::channel();
        let mut queue = self.queue();
        match &queue.end {
            Some(end) => return Err(end.clone()),
            None => queue.flushes.push(done),
        }
        drop(queue);
        self.wake.notify_one();
        Ok(is_done)
    }

    /// Closes the queue for this reason. The first reason stays.
    pub(super) fn end(&self, reason: ClientError) {
        self.queue().end.get_or_insert(reason);
        self.wake.notify_one();
        self.has_room.notify_waiters();
    }

    /// [`Inbox::end`] for a reason that also stops the delivery of events that were taken.
    pub(super) fn fail(&self, reason: ClientError) {
        self.queue().end = Some(reason);
        self.wake.notify_one();
        self.has_room.notify_waiters();
    }

    /// Returns the reason why no more events are taken.
    pub(super) fn ended(&self) -> Option<ClientError> {
        self.queue().end.clone()
    }

    /// Takes everything out. `empty` is the next intake.
    pub(super) fn take(&self, empty: Intake) -> Taken {
        let mut guard = self.queue();
        let queue = &mut *guard;
        queue.is_woken = false;
        queue.in_machine += std::mem::take(&mut queue.waiting);
        let intakes = std::mem::replace(&mut queue.intakes, VecDeque::from([empty]));
        let flushes = std::mem::take(&mut queue.flushes);
        Taken { intakes, flushes, is_last: queue.end.is_some() }
    }

    /// Notes how many unsent events the machine holds, and wakes the task from `wake_at` new ones on.
    pub(super) fn settle(&self, in_machine: usize, wake_at: usize) {
        let mut guard = self.queue();
        let queue = &mut *guard;
        queue.in_machine = in_machine;
        queue.wake_at = wake_at;
        let wakes = queue.wakes();
        let makes_room =
            queue.waiting + in_machine < self.room && std::mem::take(&mut queue.has_blocked_senders);
        drop(guard);
        if wakes {
            self.wake.notify_one();
        }
        if makes_room {
            self.has_room.notify_waiters();
        }
    }

    /// Updates the counts of results.
    pub(super) fn count(&self, update: impl FnOnce(&mut Tally)) {
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        update(&mut outcome);
        let surplus = outcome.errors.len().saturating_sub(ERRORS_KEPT);
        outcome.errors.drain(..surplus);
    }

    pub(super) fn tally(&self) -> Tally {
        // In this order nothing is resolved before it was sent.
        let outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Tally { sent: self.queue().sent, ..outcome }
    }
}

#[cfg(test)]
#[path = "inbox_tests.rs"]
mod tests;
