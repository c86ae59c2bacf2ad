//! Readers who want all that was acked before they asked (`?wait=complete`), at broadcast nodes.

use super::World;
use super::questions::Purpose;
use crate::flaws::Flaw;
use crate::host::Place;
use crate::model::Promise;
use crate::model::Told;
use crate::world::event::Happening;
use countree_broadcast::machine::complete::{CompleteRead, Step};
use countree_common::cluster::{ClusterView, NodeName};
use countree_common::document::{CounterTotal, Snapshot};
use countree_common::key::{Counter, Topic};
use countree_common::time::Time;
use countree_common::wire::rpc::{Reply, Request};
use std::collections::BTreeMap;
use std::time::Duration;

/// As long as the real shell waits.
const LIMIT: Duration = Duration::from_secs(8);
const PAUSE: Duration = Duration::from_millis(100);

/// A read under way.
#[derive(Debug)]
pub(super) struct Reading {
    read: CompleteRead,
    node: Place,
    topic: Topic,
    began: Time,
    /// How many of the topic's events had been acked by then.
    acked: usize,
}

impl World {
    /// Somebody reads a topic, and the next one does before long.
    pub(super) fn read_complete(&mut self) {
        if self.is_calm {
            return;
        }
        let wait = self.random.millis(50, 1_000);
        self.agenda.after(wait, Happening::ReadComplete);
        let topics = self.truth.topics();
        let node = self.random.place(self.broadcasts.len()).unwrap_or_default();
        let Some(topic) = self.random.pick(&topics).cloned().filter(|_| self.broadcasts[node].is_up()) else {
            return;
        };
        let (began, acked) = (self.agenda.now(), self.truth.acked_in(&topic).count());
        let mut read = CompleteRead::begin();
        let complete_to = self.broadcasts[node].complete_to(&topic);
        let arrived = self.clocks(Place::Broadcast(node)).wall;
        if self.plan.flaw == Some(Flaw::CompleteByWallClock) && complete_to.is_some_and(|to| to > arrived) {
            read.poll_step();
            read.handle_members(Some((ClusterView::default(), Vec::new())));
        }
        self.readings_begun += 1;
        let reading = Reading { read, node: Place::Broadcast(node), topic, began, acked };
        self.readings.insert(self.readings_begun, reading);
        self.go_on_reading(self.readings_begun);
    }

    fn go_on_reading(&mut self, id: u64) {
        while let Some(step) = self.readings.get_mut(&id).and_then(|reading| reading.read.poll_step()) {
            let Some(Reading { node, topic, began, .. }) = self.readings.get(&id) else { return };
            let (node, topic, purpose) = (*node, topic.clone(), Purpose::Reading(id));
            match step {
                Step::Members => self.ask_a_root(node, Request::Members, purpose),
                Step::Read => self.ask_a_root(node, Request::Read(topic), purpose),
                Step::Flush { leaf, read } => match Place::of(&leaf.name) {
                    Some(place) => self.ask(node, place, Request::FlushTopic { topic, read }, purpose),
                    None => self.violate(Promise::Orderly, format!("{} is no leaf", leaf.name)),
                },
                Step::Wait if self.agenda.now().since(*began) > LIMIT => {
                    self.readings.remove(&id);
                }
                Step::Wait => self.agenda.after(PAUSE, Happening::ReadOn(id)),
                Step::Done { snapshot, away } => self.is_read(id, &snapshot, &away),
            }
        }
    }

    /// The pause of a read is over.
    pub(super) fn read_on(&mut self, id: u64) {
        if let Some(reading) = self.readings.get_mut(&id) {
            reading.read.handle_waited();
            self.go_on_reading(id);
        }
    }

    /// A read's question is answered, or not.
    pub(super) fn reading_hears(
        &mut self,
        id: u64,
        request: &Request,
        whom: Option<Place>,
        reply: Option<Reply>,
    ) {
        let Some(Reading { read, .. }) = self.readings.get_mut(&id) else { return };
        match (request, reply) {
            (Request::FlushTopic { .. }, reply) => {
                let version =
                    if let Some(Reply::FlushedTopic(version)) = reply { Some(version) } else { None };
                if let Some(leaf) = whom {
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

    /// What was acked before the read began is in it, but for what leaves that are named may hold.
    fn is_read(&mut self, id: u64, snapshot: &Snapshot, away: &[NodeName]) {
        let Some(Reading { topic, acked, .. }) = self.readings.remove(&id) else { return };
        let counter = |of: &CounterTotal| Counter {
            topic: topic.clone(),
            item: of.item.clone(),
            kind: of.kind.clone(),
        };
        let totals: BTreeMap<Counter, i64> =
            snapshot.totals.iter().map(|of| (counter(of), of.total)).collect();
        let is_excused = |leaf: Option<usize>| {
            !away.is_empty() && leaf.is_none_or(|leaf| away.contains(&Place::Leaf(leaf).name()))
        };
        let missing = self.truth.acked_in(&topic).take(acked).find(|id| {
            let event = &self.truth.events[*id];
            let total = totals.get(&event.counter).copied().unwrap_or_default();
            event.told == Told::Acked
                && !is_excused(event.leaf)
                && !self.truth.resets.cover(&event.counter)
                && !self.truth.may_be_lost(event)
                && !self.truth.holds(*id, total)
        });
        if let Some(missing) = missing {
            let version = snapshot.version;
            let what =
                format!("{topic} was read at {version} without event {missing}, which had been acked before");
            self.violate(Promise::Shown, what);
        }
    }
}
