//! Carries out the outputs of a producer's machine.

use super::Open;
use crate::flaws::Flaw;
use crate::host::Host;
use crate::model::{EventId, EventStatus, Promise};
use crate::network::{Message, Side};
use crate::world::World;
use crate::world::event::SimEvent;
use countree_client::machine::producer::{Fate, Outgoing, Output, Resolved};
use countree_common::cluster::NodeName;
use countree_common::key::Counter;
use countree_common::wire::batch::{BatchView, Events};
use countree_common::wire::hello::Conversation;
use std::time::Duration;

impl World {
    /// Carries out the machine's outputs.
    pub(super) fn drain_producer(&mut self, i: usize) {
        while let Some(output) = self.clients.producers[i].machine.poll_output() {
            self.perform_producer_output(i, output);
        }
        let now = self.queue.now();
        let producer = &mut self.clients.producers[i];
        let Some(at) = producer.machine.next_deadline().map(|due| due.max(now + Duration::from_micros(100)))
        else {
            return;
        };
        if producer.wakes_at.is_none_or(|wakes_at| wakes_at > at) {
            producer.wakes_at = Some(at);
            let life = producer.life;
            self.queue.at(at, SimEvent::Wake { host: Host::Producer(i), life, at });
        }
    }

    fn perform_producer_output(&mut self, i: usize, output: Output) {
        match output {
            Output::Connect { leaf, link: attempt, address } => {
                self.producer_disconnects(i, &leaf);
                let Some(acceptor) = Host::of(&leaf) else { return };
                let link = self.open(Host::Producer(i), acceptor, address.port(), Conversation::Produce);
                let open = Open { attempt, link, dictionary: Vec::new() };
                self.clients.producers[i].links.insert(leaf, open);
            }
            Output::Disconnect { leaf, link: attempt } => {
                if self.clients.producers[i].links.get(&leaf).is_some_and(|open| open.attempt == attempt) {
                    self.producer_disconnects(i, &leaf);
                }
            }
            Output::Send { leaf, link: attempt, frame } => {
                let open =
                    self.clients.producers[i].links.get_mut(&leaf).filter(|open| open.attempt == attempt);
                let Some(open) = open else { return };
                let link = open.link;
                if let Outgoing::Batch(body) = &frame {
                    match read_along(&mut open.dictionary, body) {
                        Some(events) => self.note_batch(&leaf, &events),
                        None => self.violate(
                            Promise::Orderly,
                            format!("producer-{i} sent a batch that can't be read"),
                        ),
                    }
                }
                self.send(link, Side::Opener, Message::Produce(frame));
            }
            Output::Resolved(Resolved { events, first_queued, fate }) => {
                let status = match fate {
                    Fate::Acked => EventStatus::Acked,
                    Fate::Rejected(_) => EventStatus::Rejected,
                    Fate::InDoubt(_) => EventStatus::InDoubt,
                };
                // Leaves come back, and sessions outlive every run: only a producer that gives up has doubts.
                if status != EventStatus::Acked
                    && self.plan.workload.never_gives_up
                    && !self.model.losses.has_folders()
                {
                    self.violate(
                        Promise::Truthful,
                        format!("producer-{i} was told {status:?} and had not given up"),
                    );
                }
                if let Err(e) =
                    self.model.note_batch_answer(i, first_queued, events, status, self.queue.now())
                {
                    self.violate(Promise::Truthful, e);
                }
            }
            Output::Flushed(_) => {}
        }
    }

    fn note_batch(&mut self, leaf: &NodeName, events: &[(Counter, i64)]) {
        let ids: Option<Vec<EventId>> = events.iter().map(|(c, delta)| self.model.find(c, *delta)).collect();
        match ids {
            Some(ids) => {
                self.count_repeats(leaf, events, &ids);
                let host = Host::of(leaf).and_then(Host::leaf);
                self.model.note_batch(ids, host);
            }
            None => self.violate(Promise::Orderly, "a batch holds an event that nobody produced"),
        }
        if self.plan.flaw == Some(Flaw::MovedInDoubt) && !self.faults.are_over && self.random.chance(5) {
            self.hand_to_another(leaf, events);
        }
    }

    /// Counts a repeat again, as a flawed leaf would.
    fn count_repeats(&mut self, leaf: &NodeName, events: &[(Counter, i64)], ids: &[EventId]) {
        let leaf = Host::of(leaf).and_then(Host::leaf);
        let is_repeat = ids.iter().all(|id| leaf.is_some() && self.model.events[*id].leaf == leaf);
        if let Some(leaf) = leaf.filter(|_| is_repeat && self.plan.flaw == Some(Flaw::CountedRepeats)) {
            self.leaf_is_submitted(leaf, events);
        }
    }

    /// Hands a batch to another leaf as well, as a flawed producer would whose answer is late.
    fn hand_to_another(&mut self, leaf: &NodeName, events: &[(Counter, i64)]) {
        let others = (0..self.cluster.leaves.len())
            .filter(|i| Host::Leaf(*i).name() != *leaf && self.cluster.leaves[*i].is_up());
        let others: Vec<usize> = others.collect();
        if let Some(other) = self.random.pick(&others) {
            self.leaf_is_submitted(*other, events);
        }
    }

    fn producer_disconnects(&mut self, i: usize, leaf: &NodeName) {
        if let Some(open) = self.clients.producers[i].links.remove(leaf) {
            self.leave(open.link, Side::Opener);
        }
    }
}

/// Reads the events of a batch by its connection's dictionary; adds the names that the batch defines.
fn read_along(dictionary: &mut Vec<Counter>, body: &[u8]) -> Option<Vec<(Counter, i64)>> {
    let batch = BatchView::parse(body).ok()?;
    if batch.reset_names {
        dictionary.clear();
    }
    dictionary.extend(batch.counters().ok()?);
    Events::new(batch.words).map(|(id, delta)| Some((dictionary.get(id as usize)?.clone(), delta))).collect()
}
