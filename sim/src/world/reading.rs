//! Readers that wait for everything acked before them (`?wait=complete`), at broadcast nodes.

use super::World;
use super::questions::Purpose;
use crate::flaws::Flaw;
use crate::host::Host;
use crate::model::EventStatus;
use crate::model::Promise;
use crate::world::event::SimEvent;
use countree_broadcast::machine::complete::{CompleteRead, Step};
use countree_common::cluster::{ClusterView, NodeName};
use countree_common::document::{CounterTotal, Snapshot};
use countree_common::key::{Counter, Topic};
use countree_common::time::Time;
use countree_common::wire::rpc::{Reply, Request};
use std::collections::BTreeMap;
use std::time::Duration;

/// The time that the real shell waits.
const LIMIT: Duration = Duration::from_secs(8);
const PAUSE: Duration = Duration::from_millis(100);

/// An open read.
#[derive(Debug)]
pub(super) struct Reading {
    read: CompleteRead,
    node: Host,
    topic: Topic,
    began: Time,
    /// The number of the topic's events that had been acked by then.
    acked: usize,
}

impl World {
    /// Begins a read of a topic, and queues the next one.
    pub(super) fn read_complete(&mut self) {
        if self.faults.are_over {
            return;
        }
        let wait = self.random.millis(50, 1_000);
        self.queue.after(wait, SimEvent::ReadComplete);
        let topics = self.model.topics();
        let node = self.random.index(self.cluster.broadcasts.len()).unwrap_or_default();
        let Some(topic) =
            self.random.pick(&topics).cloned().filter(|_| self.cluster.broadcasts[node].is_up())
        else {
            return;
        };
        let (began, acked) = (self.queue.now(), self.model.acked_in(&topic).count());
        let mut read = CompleteRead::begin();
        let complete_to = self.cluster.broadcasts[node].complete_to(&topic);
        let arrived = self.clocks(Host::Broadcast(node)).wall;
        if self.plan.flaw == Some(Flaw::CompleteByWallClock) && complete_to.is_some_and(|to| to > arrived) {
            read.poll_step();
            // No leaf is asked, and none is named as away.
            read.handle_members(Some((ClusterView::default(), vec![Host::Broadcast(node).name()])));
        }
        self.clients.reads_begun += 1;
        let reading = Reading { read, node: Host::Broadcast(node), topic, began, acked };
        self.clients.reads.insert(self.clients.reads_begun, reading);
        self.go_on_reading(self.clients.reads_begun);
    }

    fn go_on_reading(&mut self, id: u64) {
        while let Some(step) = self.clients.reads.get_mut(&id).and_then(|reading| reading.read.poll_step()) {
            let Some(Reading { node, topic, began, .. }) = self.clients.reads.get(&id) else { return };
            let (node, topic, purpose) = (*node, topic.clone(), Purpose::Reading(id));
            match step {
                Step::Members => self.ask_a_root(node, Request::Members, purpose),
                Step::Read => self.ask_a_root(node, Request::Read(topic), purpose),
                Step::Flush { leaf, read } => match Host::of(&leaf.name) {
                    Some(host) => self.ask(node, host, Request::FlushTopic { topic, read }, purpose),
                    None => self.violate(Promise::Orderly, format!("{} is no leaf", leaf.name)),
                },
                Step::Wait if self.queue.now().since(*began) > LIMIT => {
                    self.clients.reads.remove(&id);
                }
                Step::Wait => self.queue.after(PAUSE, SimEvent::ReadOn(id)),
                Step::Done { snapshot, away } => self.is_read(id, &snapshot, &away),
            }
        }
    }

    /// Goes on with a read after its pause.
    pub(super) fn read_on(&mut self, id: u64) {
        if let Some(reading) = self.clients.reads.get_mut(&id) {
            reading.read.handle_waited();
            self.go_on_reading(id);
        }
    }

    /// Takes the answer to a read's question, or the lack of one.
    pub(super) fn reading_receives(
        &mut self,
        id: u64,
        request: &Request,
        asked: Option<Host>,
        reply: Option<Reply>,
    ) {
        let Some(Reading { read, .. }) = self.clients.reads.get_mut(&id) else { return };
        match (request, reply) {
            (Request::FlushTopic { .. }, reply) => {
                let version =
                    if let Some(Reply::FlushedTopic(version)) = reply { Some(version) } else { None };
                if let Some(leaf) = asked {
                    read.handle_flushed(&leaf.name(), version);
                }
            }
            (Request::Members, Some(Reply::Members { view, away })) => {
                read.handle_members(Some((view, away)))
            }
            (Request::Members, _) => read.handle_members(None),
            (_, Some(Reply::Snapshot(part))) => {
                let (topic, version, totals) = (part.topic, part.version, part.totals);
                read.handle_read(Some(Snapshot { topic, version, totals }));
            }
            _ => read.handle_read(None),
        }
        self.go_on_reading(id);
    }

    /// Checks that everything acked before the read began is in it, except for events of the leaves that it names as
    /// away.
    fn is_read(&mut self, id: u64, snapshot: &Snapshot, away: &[NodeName]) {
        let Some(Reading { topic, acked, .. }) = self.clients.reads.remove(&id) else { return };
        let counter = |of: &CounterTotal| Counter {
            topic: topic.clone(),
            item: of.item.clone(),
            kind: of.kind.clone(),
        };
        let totals: BTreeMap<Counter, i64> =
            snapshot.totals.iter().map(|of| (counter(of), of.total)).collect();
        let is_excused = |leaf: Option<usize>| {
            !away.is_empty() && leaf.is_none_or(|leaf| away.contains(&Host::Leaf(leaf).name()))
        };
        let missing = self.model.acked_in(&topic).take(acked).find(|id| {
            let event = &self.model.events[*id];
            let total = totals.get(&event.counter).copied().unwrap_or_default();
            event.status == EventStatus::Acked
                && !is_excused(event.leaf)
                && !self.model.resets.cover(&event.counter)
                && !self.model.losses.may_include(event)
                && !self.model.holds(*id, total)
        });
        if let Some(missing) = missing {
            let version = snapshot.version;
            let what =
                format!("{topic} was read at {version} without event {missing}, which had been acked before");
            self.violate(Promise::Shown, what);
        }
    }
}
