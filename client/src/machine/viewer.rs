//! What a viewer knows of its topics: snapshots put together, changes applied, and what of it was not
//! handed out yet.
//!
//! Each counter keeps the total of the highest version that spoke of it, whatever the order in which
//! stream and datagrams arrive. Nothing queues: what was not asked for in time is replaced by what is newer.

use countree_common::document::{CounterTotal, Snapshot, TopicView, Version};
use countree_common::key::{Item, Kind, Topic};
use countree_common::limits;
use countree_common::time::WallMs;
use countree_common::wire::publish::{SnapshotAssembly, SnapshotPart};
use countree_common::wire::viewer::{Changes, FromBroadcast, ToBroadcast, decode_datagram};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

/// Counters of one topic that a viewer holds. A broadcast node that sends more is not believed.
pub const COUNTERS_PER_TOPIC: usize = limits::COUNTERS_PER_LEAF;

/// What the shell does for the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send this on the stream.
    Send(ToBroadcast),
    /// Leave this node for another; the reason is for people.
    Leave(String),
}

#[derive(Debug, Clone, Copy)]
struct Cell {
    version: Version,
    total: i64,
}

#[derive(Debug, Default)]
struct Held {
    version: Version,
    complete_to: WallMs,
    cells: BTreeMap<(Item, Kind), Cell>,
    /// Set from the first snapshot on.
    is_known: bool,
    /// What was not handed out yet; everything when `is_fresh`.
    unseen: BTreeSet<(Item, Kind)>,
    /// Nothing of this era was handed out yet.
    is_fresh: bool,
}

impl Held {
    /// Takes up a snapshot; returns whether there is something to hand out.
    fn snapshot(&mut self, snapshot: Snapshot) -> bool {
        let version = snapshot.version;
        if self.is_known && version.era < self.version.era {
            return false;
        }
        if !self.is_known || version.era > self.version.era {
            *self = Self { version, is_known: true, is_fresh: true, ..Self::default() };
        }
        self.apply(version, snapshot.totals) || self.is_fresh
    }

    /// Takes up totals of an era that is held.
    fn apply(&mut self, version: Version, totals: Vec<CounterTotal>) -> bool {
        self.version = self.version.max(version);
        let (mut changed, is_full) = (false, self.cells.len() >= COUNTERS_PER_TOPIC);
        for CounterTotal { item, kind, total } in totals {
            let key = (item, kind);
            match self.cells.get_mut(&key) {
                Some(cell) if cell.version >= version => continue,
                Some(cell) => {
                    let is_same = cell.total == total;
                    *cell = Cell { version, total };
                    if is_same {
                        continue;
                    }
                }
                None if is_full => continue,
                None => {
                    self.cells.insert(key.clone(), Cell { version, total });
                }
            }
            changed = true;
            if !self.is_fresh {
                self.unseen.insert(key);
            }
        }
        changed
    }

    fn hand_out(&mut self, topic: &Topic) -> TopicView {
        let mut view = TopicView {
            topic: topic.clone(),
            era: self.version.era,
            version: self.version.number,
            complete_to: self.complete_to,
            counts: BTreeMap::new(),
        };
        let mut show = |(item, kind): (Item, Kind), total| {
            view.counts.entry(item).or_default().insert(kind, total);
        };
        let unseen = std::mem::take(&mut self.unseen);
        if std::mem::take(&mut self.is_fresh) {
            self.cells.iter().for_each(|(key, cell)| show(key.clone(), cell.total));
        } else {
            unseen.into_iter().for_each(|key| {
                if let Some(cell) = self.cells.get(&key) {
                    show(key, cell.total);
                }
            });
        }
        view
    }
}

/// A viewer's topics.
#[derive(Debug, Default)]
pub struct Watch {
    topics: BTreeMap<Topic, Held>,
    /// The numbers that the present node has given to topics.
    handles: HashMap<u32, Topic>,
    assembly: SnapshotAssembly,
    /// Counters in unfinished snapshots.
    assembling: BTreeMap<Topic, usize>,
    /// Topics with something to hand out, each once.
    ready: VecDeque<Topic>,
    outputs: VecDeque<Output>,
}

impl Watch {
    /// Watches these topics; at most [`limits::TOPICS_PER_VIEWER`] are taken by a broadcast node.
    pub fn new(topics: impl IntoIterator<Item = Topic>) -> Self {
        let topics = topics.into_iter().map(|topic| (topic, Held::default())).collect();
        Self { topics, ..Self::default() }
    }

    /// What the shell is to do next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// What is new: a whole topic the first time and when the era changed, then the counters that
    /// changed. Within an era neither versions nor totals ever go back.
    pub fn poll_view(&mut self) -> Option<TopicView> {
        let topic = self.ready.pop_front()?;
        self.topics.get_mut(&topic).map(|held| held.hand_out(&topic))
    }

    /// There is a connection to a broadcast node, maybe another one than before.
    pub fn handle_connected(&mut self) {
        self.handles.clear();
        self.assembly = SnapshotAssembly::default();
        self.assembling.clear();
        self.outputs.clear();
        let topics = self.topics.keys().cloned().collect();
        self.outputs.push_back(Output::Send(ToBroadcast::Subscribe(topics)));
    }

    /// The node says something on the stream.
    pub fn handle_message(&mut self, message: FromBroadcast) {
        match message {
            FromBroadcast::Subscribed { topic, handle } => {
                if self.topics.contains_key(&topic) {
                    self.handles.insert(handle, topic);
                }
            }
            FromBroadcast::Snapshot(part) => self.snapshot_part(part),
            FromBroadcast::Changes(changes) => self.changes(changes),
            FromBroadcast::Move { reason } => self.outputs.push_back(Output::Leave(reason)),
        }
    }

    /// A datagram came. One that makes no sense is as good as lost.
    pub fn handle_datagram(&mut self, bytes: &[u8]) {
        for changes in decode_datagram(bytes).unwrap_or_default() {
            self.changes(changes);
        }
    }

    fn snapshot_part(&mut self, part: SnapshotPart) {
        let Some(held) = self.topics.get_mut(&part.topic) else { return };
        let counters = self.assembling.entry(part.topic.clone()).or_default();
        *counters += part.totals.len();
        if *counters > COUNTERS_PER_TOPIC {
            let reason = format!("topic '{}' has more than {COUNTERS_PER_TOPIC} counters", part.topic);
            self.outputs.push_back(Output::Leave(reason));
            return;
        }
        let Some(snapshot) = self.assembly.push(part) else { return };
        self.assembling.remove(&snapshot.topic);
        let topic = snapshot.topic.clone();
        if held.snapshot(snapshot) {
            self.announce(topic);
        }
    }

    /// Changes of another era than the one held, or from before the first snapshot, are of no use: the
    /// node sends the era's snapshot, and after it, on the same stream, whatever changed since.
    fn changes(&mut self, changes: Changes) {
        let Some(topic) = self.handles.get(&changes.handle) else { return };
        let Some(held) = self.topics.get_mut(topic) else { return };
        if !held.is_known || changes.version.era != held.version.era {
            return;
        }
        held.complete_to = held.complete_to.max(changes.complete_to);
        if held.apply(changes.version, changes.totals) {
            let topic = topic.clone();
            self.announce(topic);
        }
    }

    fn announce(&mut self, topic: Topic) {
        if !self.ready.contains(&topic) {
            self.ready.push_back(topic);
        }
    }
}

#[cfg(test)]
#[path = "viewer_tests.rs"]
mod tests;
