//! The machine of a viewer: puts snapshots together, applies changes, and keeps the counters that were not
//! handed out yet.
//!
//! Each counter keeps the total of the highest version that spoke of it, whatever the order in which stream
//! and datagrams arrive. Another era replaces everything, whatever its number, when it comes from a node that
//! knows what was held before. Nothing queues: what was not asked for in time is replaced by what is newer.

use countree_common::cluster::NodeName;
use countree_common::document::{CounterTotal, Snapshot, TopicView, Version};
use countree_common::era::{EraOrder, Eras, SourceEra};
use countree_common::key::{Item, Kind, Topic};
use countree_common::limits;
use countree_common::time::WallMs;
use countree_common::wire::publish::{SnapshotAssembly, SnapshotPart};
use countree_common::wire::viewer::{Changes, FromBroadcast, ToBroadcast, decode_datagram};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// Most counters of one topic that a viewer holds. A broadcast node that sends more breaks the protocol.
pub const COUNTERS_PER_TOPIC: usize = limits::COUNTERS_PER_LEAF;
/// Longest wait that a node may impose on a viewer before it moves.
const WITHIN_MAX: Duration = Duration::from_secs(30);

/// A request to move to another node. This one still serves the viewer for a while, so that it can arrive
/// there before it leaves here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departure {
    /// The reason, for people.
    pub reason: String,
    /// Nodes to move to, as this one knows them; may be empty.
    pub alternates: Vec<(NodeName, SocketAddr)>,
    /// Move at a random moment within this time.
    pub within: Duration,
}

/// One conversation with a broadcast node. A viewer that moves has two for a while.
#[derive(Debug)]
pub struct Feed {
    /// The numbers that the node has given to topics.
    handles: HashMap<u32, Topic>,
    assembly: SnapshotAssembly,
    /// Counters in unfinished snapshots.
    assembling: BTreeMap<Topic, usize>,
    /// Topics whose first snapshot has not come.
    awaited: BTreeSet<Topic>,
    /// The node's position in each topic's sequence of eras: the node was sent the era that was held.
    followed: BTreeMap<Topic, SourceEra>,
}

/// The node shows an era that may be an older one: since this node was sent the held era, another node has
/// shown a newer one. The caller has to end the conversation and begin a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outdated;

impl Feed {
    /// Whether every topic's first snapshot has come: what is shown no longer depends on another feed.
    pub fn is_complete(&self) -> bool {
        self.awaited.is_empty()
    }
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
    /// The eras that were held.
    eras: Eras,
    /// Set by the first snapshot.
    is_known: bool,
    /// Changes that were not handed out yet; all totals when `is_fresh`.
    unseen: BTreeSet<(Item, Kind)>,
    /// Set until totals of this era were handed out.
    is_fresh: bool,
}

impl Held {
    /// Takes over a node's snapshot; returns whether there is something to hand out.
    fn snapshot(&mut self, node: &mut SourceEra, snapshot: Snapshot) -> Result<bool, Outdated> {
        let version = snapshot.version;
        match self.eras.judge(node, self.is_known.then_some(self.version.era), version.era) {
            EraOrder::Same => {}
            EraOrder::Next => {
                *self = Self { version, eras: self.eras, is_known: true, is_fresh: true, ..Self::default() };
            }
            EraOrder::Unclear => return Err(Outdated),
        }
        Ok(self.apply(version, snapshot.totals) || self.is_fresh)
    }

    /// Takes over totals of the held era.
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

    fn hand_out(&mut self, topic: &Topic, away: &[NodeName]) -> TopicView {
        let mut view = TopicView {
            topic: topic.clone(),
            era: self.version.era,
            version: self.version.number,
            complete_to: self.complete_to,
            away: away.to_vec(),
            counts: BTreeMap::new(),
            is_snapshot: self.is_fresh,
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
pub struct ViewerMachine {
    topics: BTreeMap<Topic, Held>,
    /// Topics with something to hand out, each once.
    ready: VecDeque<Topic>,
    /// Leaves that are away, by the latest message of a node.
    away: Vec<NodeName>,
}

impl ViewerMachine {
    /// Makes a viewer of these topics; a broadcast node takes at most [`limits::TOPICS_PER_VIEWER`].
    pub fn new(topics: impl IntoIterator<Item = Topic>) -> Self {
        let topics = topics.into_iter().map(|topic| (topic, Held::default())).collect();
        Self { topics, ..Self::default() }
    }

    /// Returns what is new: a whole topic the first time and when the era changed, then the counters that
    /// changed; no counters when only the set of leaves that are away changed. Within an era neither versions
    /// nor totals ever go back.
    pub fn poll_view(&mut self) -> Option<TopicView> {
        let topic = self.ready.pop_front()?;
        self.topics.get_mut(&topic).map(|held| held.hand_out(&topic, &self.away))
    }

    /// Begins a conversation with a broadcast node: returns the messages to send, in order, and the state for
    /// its answers.
    pub fn connected(&self) -> ([ToBroadcast; 2], Feed) {
        let topics = || self.topics.keys().cloned();
        let feed = Feed {
            handles: HashMap::new(),
            assembly: SnapshotAssembly::default(),
            assembling: BTreeMap::new(),
            awaited: topics().collect(),
            followed: self.topics.iter().map(|(topic, held)| (topic.clone(), held.eras.ask())).collect(),
        };
        let message = if self.topics.values().any(|held| held.is_known) {
            ToBroadcast::Resume(self.topics.iter().map(|(t, held)| (t.clone(), held.version)).collect())
        } else {
            ToBroadcast::Subscribe(topics().collect())
        };
        ([message, ToBroadcast::Away], feed)
    }

    /// Handles a message on the node's stream; returns a request to move, if it is one.
    ///
    /// # Errors
    /// When the subscription has to begin anew, because the node may lag behind the totals here.
    pub fn handle_message(
        &mut self,
        feed: &mut Feed,
        message: FromBroadcast,
    ) -> Result<Option<Departure>, Outdated> {
        match message {
            FromBroadcast::Subscribed { topic, handle } => {
                if self.topics.contains_key(&topic) {
                    feed.handles.insert(handle, topic);
                }
            }
            FromBroadcast::Snapshot(part) => return self.snapshot_part(feed, part),
            FromBroadcast::Changes(changes) => {
                let complete_to = changes.complete_to;
                self.changes(feed, changes, Some(complete_to));
            }
            FromBroadcast::Away(mut names) => {
                names.truncate(limits::NODES_PER_CLUSTER);
                if names != self.away {
                    self.away = names;
                    let known = self.topics.iter().filter(|(_, held)| held.is_known);
                    let known: Vec<Topic> = known.map(|(topic, _)| topic.clone()).collect();
                    known.into_iter().for_each(|topic| self.announce(topic));
                }
            }
            FromBroadcast::Move { reason, alternates, within_ms } => {
                let within = Duration::from_millis(within_ms.into()).min(WITHIN_MAX);
                return Ok(Some(Departure { reason, alternates, within }));
            }
        }
        Ok(None)
    }

    /// Handles a datagram; a malformed one counts as lost. No datagram makes a version complete: an earlier
    /// one, with other counters, may be lost. The stream leaves nothing out, and follows within about a
    /// second.
    pub fn handle_datagram(&mut self, feed: &Feed, bytes: &[u8]) {
        for changes in decode_datagram(bytes).unwrap_or_default() {
            self.changes(feed, changes, None);
        }
    }

    fn snapshot_part(&mut self, feed: &mut Feed, part: SnapshotPart) -> Result<Option<Departure>, Outdated> {
        let Some(held) = self.topics.get_mut(&part.topic) else { return Ok(None) };
        let Some(followed) = feed.followed.get_mut(&part.topic) else { return Ok(None) };
        let counters = feed.assembling.entry(part.topic.clone()).or_default();
        *counters += part.totals.len();
        if *counters > COUNTERS_PER_TOPIC {
            let reason = format!("topic '{}' has more than {COUNTERS_PER_TOPIC} counters", part.topic);
            return Ok(Some(Departure { reason, alternates: Vec::new(), within: Duration::ZERO }));
        }
        let Some(snapshot) = feed.assembly.push(part) else { return Ok(None) };
        feed.assembling.remove(&snapshot.topic);
        feed.awaited.remove(&snapshot.topic);
        let topic = snapshot.topic.clone();
        if held.snapshot(followed, snapshot)? {
            self.announce(topic);
        }
        Ok(None)
    }

    /// Takes over changes. Those of another era than the held one, or from before the first snapshot, are
    /// ignored: the node sends the era's snapshot, and after it, on the same stream, everything that changed
    /// since.
    fn changes(&mut self, feed: &Feed, changes: Changes, complete_to: Option<WallMs>) {
        let Some(topic) = feed.handles.get(&changes.handle) else { return };
        let Some(held) = self.topics.get_mut(topic) else { return };
        if !held.is_known || changes.version.era != held.version.era {
            return;
        }
        // From the latest message of a node, whose times may differ from those of the node before.
        held.complete_to = complete_to.unwrap_or(held.complete_to);
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
