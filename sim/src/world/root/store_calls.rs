//! Calls of the store by roots. Requests and answers get lost on the way.

use super::World;
use crate::faults::BackgroundFault;
use crate::host::{Host, Life};
use crate::model::Promise;
use crate::network::{Message, Side};
use crate::store::{Answer, Operation};
use crate::world::event::SimEvent;
use countree_common::cut::{CounterSum, Cut};
use countree_common::forget::ForgetOutcome;
use countree_common::key::Counter;
use countree_common::store::StoreId;
use countree_common::wire::rpc::Reply;
use countree_root::machine::StoreSilent;

impl World {
    /// Sends a call to the store. Requests and answers get lost on the way, and some requests arrive long
    /// after their root has stopped waiting.
    pub(super) fn ask_store(&mut self, i: usize, operation: Operation) {
        let Some(life) = self.cluster.roots[i].life() else { return };
        let Some(bound) = self.cluster.roots[i].standing().map(|standing| standing.served()) else { return };
        self.send_again_later((i, life), bound, &operation);
        let mishap = (!self.faults.are_over && self.random.chance(self.plan.store.failures))
            .then(|| self.random.below(3));
        let timeout = self.timeout();
        let (arrives, is_heard) = match mishap {
            None => (self.random.micros(50, 3_000), true),
            Some(0) => {
                self.faults.tally.note(BackgroundFault::AnswerLost);
                (self.random.micros(50, 3_000), false)
            }
            Some(1) => {
                self.faults.tally.note(BackgroundFault::RequestLost);
                let answer = Box::new(operation.silence());
                return self.queue.after(timeout, SimEvent::StoreAnswered { root: i, life, answer });
            }
            Some(_) => {
                self.faults.tally.note(BackgroundFault::RequestLate);
                (timeout + self.random.millis(0, 5_000), false)
            }
        };
        if !is_heard {
            let answer = Box::new(operation.silence());
            self.queue.after(timeout, SimEvent::StoreAnswered { root: i, life, answer });
        }
        let asked = SimEvent::StoreAsked { root: i, life, bound, operation: Box::new(operation), is_heard };
        self.queue.after(arrives, asked);
    }

    /// Repeats a forget later: askers repeat it until they get an answer, so one of those requests may arrive long
    /// after it was answered.
    fn send_again_later(&mut self, (root, life): (usize, Life), bound: StoreId, operation: &Operation) {
        if let Operation::Forget(link, topic, at) = operation
            && self.random.chance(50)
        {
            let operation = Box::new(Operation::Forget(*link, topic.clone(), *at));
            let asked = SimEvent::StoreAsked { root, life, bound, operation, is_heard: false };
            let wait = self.random.millis(50, 5_000);
            self.queue.after(wait, asked);
        }
    }

    pub(in crate::world) fn store_asked(
        &mut self,
        (root, life): (usize, Life),
        bound: StoreId,
        operation: Operation,
        is_heard: bool,
    ) {
        if self.queue.now() < self.store.paused_until {
            // Calls that wait in its socket are carried out when it goes on; by then their root has given up.
            if is_heard {
                let (answer, timeout) = (Box::new(operation.silence()), self.timeout());
                self.queue.after(timeout, SimEvent::StoreAnswered { root, life, answer });
            }
            let operation = Box::new(operation);
            let asked = SimEvent::StoreAsked { root, life, bound, operation, is_heard: false };
            return self.queue.at(self.store.paused_until, asked);
        }
        let (answer, wait) = if self.store.is_down {
            (operation.silence(), self.timeout())
        } else {
            let merged: Vec<Cut> = match &operation {
                Operation::Merge(_, cuts) => cuts.to_vec(),
                _ => Vec::new(),
            };
            let answer = self.store.perform(operation, bound);
            self.check_merged(&merged);
            (answer, self.random.micros(50, 3_000))
        };
        if is_heard {
            let answer = Box::new(answer);
            self.queue.after(wait, SimEvent::StoreAnswered { root, life, answer });
        }
    }

    /// Checks that no event of merged cuts is counted twice.
    fn check_merged(&mut self, cuts: &[Cut]) {
        for cut in cuts {
            let Some(document) = self.store.documents.get(&cut.topic) else { continue };
            for CounterSum { item, kind, .. } in &cut.sums {
                let counter = Counter { topic: cut.topic.clone(), item: item.clone(), kind: kind.clone() };
                let total = document.totals.get(&(item.clone(), kind.clone())).copied().unwrap_or_default();
                if let Err(e) = self.model.check_once(&counter, total) {
                    return self.violate(Promise::Exact, e);
                }
            }
        }
    }

    pub(in crate::world) fn store_answered(&mut self, i: usize, answer: Answer) {
        let (now, registrar_now) = (self.clocks(Host::Root(i)), self.registrar_clocks(Host::Root(i)));
        let silent = || "the store does not answer".to_owned();
        let Some(process) = &mut self.cluster.roots[i].process else { return };
        match answer {
            Answer::Merged(batch, outcomes) => process.machine.handle_merged(batch, outcomes),
            Answer::Read(read, result) => {
                process.machine.handle_read(read, result.ok_or(StoreSilent), now.mono);
            }
            Answer::Forgotten(link, topic, forgetting) => {
                if let ForgetOutcome::Forgotten(gone) = forgetting {
                    process.machine.handle_forgotten(&topic, gone.version);
                }
                self.send(link, Side::Acceptor, Message::Reply(Reply::ForgetOutcome(forgetting)));
            }
            Answer::Replied(link, reply) => self.send(link, Side::Acceptor, Message::Reply(reply)),
            Answer::Era(era) => era.into_iter().for_each(|era| process.machine.handle_served_in(era)),
            Answer::Loaded(result) => {
                process.registrar.handle_loaded(result.ok_or_else(silent), registrar_now)
            }
            Answer::Saved(result) => process.registrar.handle_saved(result.ok_or_else(silent), registrar_now),
        }
        self.drain_root(i);
    }
}
