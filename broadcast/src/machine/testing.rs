//! Helpers of the machine's tests: short forms of documents, and viewers that decode their bytes.

use super::{BroadcastMachine, DatagramRoom, Format, Output, Room, ViewerId};
use bytes::Bytes;
use countree_common::cluster::{ClusterView, Node, NodeName, Tier};
use countree_common::document::{CounterTotal, Snapshot, TopicView, Update, Version};
use countree_common::key::{Item, Kind, Topic};
use countree_common::limits;
use countree_common::time::Time;
use countree_common::wire::frame::{FrameKind, FrameReader};
use countree_common::wire::publish::{FromRoot, SnapshotAssembly, SnapshotPart, ToRoot};
use countree_common::wire::viewer::{FromBroadcast, decode_datagram};
use std::collections::{BTreeMap, HashMap};

pub(super) fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

pub(super) fn root(name: &str) -> NodeName {
    NodeName::new(name).unwrap()
}

pub(super) fn version(era: u64, number: u64) -> Version {
    Version { era, number }
}

pub(super) fn totals(totals: &[(&str, i64)]) -> Vec<CounterTotal> {
    let total = |(item, total): &(&str, i64)| CounterTotal {
        item: Item::new(item).unwrap(),
        kind: Kind::new("like").unwrap(),
        total: *total,
    };
    totals.iter().map(total).collect()
}

pub(super) fn snapshot(name: &str, at: (u64, u64), some: &[(&str, i64)]) -> Snapshot {
    Snapshot { topic: topic(name), version: version(at.0, at.1), totals: totals(some) }
}

pub(super) fn update(name: &str, base: (u64, u64), to: (u64, u64), some: &[(&str, i64)]) -> Update {
    let (base, version) = (version(base.0, base.1), version(to.0, to.1));
    Update { topic: topic(name), base, version, totals: totals(some) }
}

pub(super) fn from_root_snapshot(name: &str, at: (u64, u64), some: &[(&str, i64)]) -> FromRoot {
    let Snapshot { topic, version, totals } = snapshot(name, at, some);
    FromRoot::Snapshot(SnapshotPart { topic, version, totals, last: true })
}

pub(super) fn from_root_update(
    name: &str,
    base: (u64, u64),
    to: (u64, u64),
    some: &[(&str, i64)],
) -> FromRoot {
    FromRoot::Update(update(name, base, to, some))
}

/// A view with these roots.
pub(super) fn view(epoch: u64, roots: &[&str]) -> ClusterView {
    let node = |name: &&str| Node {
        name: root(name),
        tier: Tier::Root,
        quic: "127.0.0.1:1".parse().unwrap(),
        http: None,
        incarnation: 1,
    };
    ClusterView { epoch, nodes: roots.iter().map(node).collect(), ..Default::default() }
}

/// A machine with one connected root, `root-0`.
pub(super) fn connected() -> BroadcastMachine {
    let mut machine = BroadcastMachine::default();
    machine.handle_view(&view(1, &["root-0"]), Time(0));
    machine.handle_root_connected(&root("root-0"), Time(0));
    drain(&mut machine);
    machine
}

pub(super) fn drain(machine: &mut BroadcastMachine) -> Vec<Output> {
    std::iter::from_fn(|| machine.poll_output()).collect()
}

/// Messages to roots among these outputs.
pub(super) fn to_roots(outputs: &[Output]) -> Vec<(String, ToRoot)> {
    let message = |output: &Output| match output {
        Output::ToRoot { root, message } => Some((root.as_str().to_owned(), message.clone())),
        _ => None,
    };
    outputs.iter().filter_map(message).collect()
}

pub(super) const ROOMY: Room = Room { datagram: DatagramRoom::Bytes(limits::DATAGRAM_BYTES), stream: true };
pub(super) const STREAM_ONLY: Room = Room { datagram: DatagramRoom::Never, stream: true };
pub(super) const NO_ROOM: Room = Room::NONE;

/// One viewer's decoded state of one topic.
#[derive(Debug, Default, Clone)]
pub(super) struct Seen {
    pub(super) version: Version,
    pub(super) complete_to: u64,
    pub(super) totals: BTreeMap<String, (Version, i64)>,
    pub(super) snapshots: usize,
    pub(super) messages: usize,
}

impl Seen {
    pub(super) fn total(&self, item: &str) -> Option<i64> {
        self.totals.get(item).map(|(_, total)| *total)
    }

    fn take(&mut self, version: Version, complete_to: u64, totals: impl IntoIterator<Item = (String, i64)>) {
        self.messages += 1;
        self.version = self.version.max(version);
        self.complete_to = self.complete_to.max(complete_to);
        for (item, total) in totals {
            let held = self.totals.entry(item).or_insert((version, total));
            if version >= held.0 {
                *held = (version, total);
            }
        }
    }

    fn begin_anew(&mut self) {
        self.snapshots += 1;
        self.totals.clear();
        self.version = Version::default();
    }
}

/// Viewers that keep the rules of `wire::viewer`, over any number of machines' outputs.
pub(super) struct Audience {
    formats: HashMap<ViewerId, Format>,
    readers: HashMap<ViewerId, (FrameReader, SnapshotAssembly)>,
    handles: HashMap<(ViewerId, u32), Topic>,
    pub(super) seen: HashMap<(ViewerId, Topic), Seen>,
    /// The newest version that each viewer was sent, by topic: they may not go back within an era.
    pub(super) sent: HashMap<(ViewerId, Topic), Version>,
    /// The nodes that each viewer was sent to, each time.
    pub(super) moves: HashMap<ViewerId, Vec<Vec<NodeName>>>,
    /// The leaves that were away, each time that a viewer was sent the list.
    pub(super) away: HashMap<ViewerId, Vec<Vec<NodeName>>>,
}

impl Audience {
    pub(super) fn new() -> Self {
        let (formats, readers, handles, seen, sent, moves, away) = Default::default();
        Self { formats, readers, handles, seen, sent, moves, away }
    }

    pub(super) fn join(&mut self, machine: &mut BroadcastMachine, id: u64, format: Format) -> ViewerId {
        let id = ViewerId(id);
        machine.handle_viewer_joined(id, format);
        self.formats.insert(id, format);
        self.readers.insert(id, (FrameReader::new(limits::FRAME_BYTES), SnapshotAssembly::default()));
        id
    }

    pub(super) fn seen(&self, viewer: ViewerId, name: &str) -> Seen {
        self.seen.get(&(viewer, topic(name))).cloned().unwrap_or_default()
    }

    /// Takes outputs; datagrams for which `lost` returns true never arrive.
    pub(super) fn take(&mut self, outputs: Vec<Output>, mut lost: impl FnMut() -> bool) {
        for output in outputs {
            match output {
                Output::Datagram { viewer, bytes } => {
                    assert!(bytes.len() <= limits::DATAGRAM_BYTES);
                    let arrives = !lost();
                    self.take_datagram(viewer, &bytes, arrives);
                }
                Output::Stream { viewer, chunks } => {
                    for chunk in chunks {
                        match self.formats[&viewer] {
                            Format::Frames => self.take_frames(viewer, &chunk),
                            Format::Events => self.take_event(viewer, &chunk),
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn note_sent(&mut self, viewer: ViewerId, topic: &Topic, version: Version) {
        let last = self.sent.entry((viewer, topic.clone())).or_default();
        assert!(
            version.era != last.era || version >= *last,
            "{viewer:?} was sent {version} of {topic} after {last}"
        );
        *last = version;
    }

    fn take_datagram(&mut self, viewer: ViewerId, bytes: &Bytes, arrives: bool) {
        for changes in decode_datagram(bytes).unwrap() {
            let topic = self.handles[&(viewer, changes.handle)].clone();
            self.note_sent(viewer, &topic, changes.version);
            if arrives {
                let seen = self.seen.entry((viewer, topic)).or_default();
                let totals = changes.totals.into_iter().map(|t| (t.item.into(), t.total));
                seen.take(changes.version, changes.complete_to.0, totals);
            }
        }
    }

    fn take_frames(&mut self, viewer: ViewerId, chunk: &Bytes) {
        let (mut reader, mut assembly) = self.readers.remove(&viewer).unwrap();
        reader.push(chunk);
        while let Some(frame) = reader.next_frame().unwrap() {
            match frame.decode(FrameKind::Message).unwrap() {
                FromBroadcast::Subscribed { topic, handle } => {
                    self.handles.insert((viewer, handle), topic);
                }
                FromBroadcast::Snapshot(part) => {
                    let Some(snapshot) = assembly.push(part) else { continue };
                    self.note_sent(viewer, &snapshot.topic, snapshot.version);
                    let seen = self.seen.entry((viewer, snapshot.topic)).or_default();
                    seen.begin_anew();
                    let totals = snapshot.totals.into_iter().map(|t| (t.item.into(), t.total));
                    seen.take(snapshot.version, 0, totals);
                }
                FromBroadcast::Changes(changes) => {
                    let topic = self.handles[&(viewer, changes.handle)].clone();
                    self.note_sent(viewer, &topic, changes.version);
                    let seen = self.seen.entry((viewer, topic)).or_default();
                    let totals = changes.totals.into_iter().map(|t| (t.item.into(), t.total));
                    seen.take(changes.version, changes.complete_to.0, totals);
                }
                FromBroadcast::Away(names) => self.away.entry(viewer).or_default().push(names),
                FromBroadcast::Move { alternates, .. } => {
                    let names = alternates.into_iter().map(|(name, _)| name).collect();
                    self.moves.entry(viewer).or_default().push(names);
                }
            }
        }
        assert!(!reader.is_mid_frame(), "a chunk holds whole frames");
        self.readers.insert(viewer, (reader, assembly));
    }

    fn take_event(&mut self, viewer: ViewerId, chunk: &Bytes) {
        let text = std::str::from_utf8(chunk).unwrap();
        let lines: Vec<&str> = text.strip_suffix("\n\n").unwrap().split('\n').collect();
        let [event, id, data] = lines.as_slice() else { panic!("not one event: {text}") };
        let view: TopicView = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        let version = version(view.era, view.version);
        assert_eq!(*id, format!("id: {version}"));
        self.note_sent(viewer, &view.topic, version);
        self.away.entry(viewer).or_default().push(view.away);
        let seen = self.seen.entry((viewer, view.topic)).or_default();
        if *event == "event: snapshot" {
            seen.begin_anew();
        }
        let totals = view.counts.into_iter().map(|(item, kinds)| (item.into(), kinds.into_values().sum()));
        seen.take(version, view.complete_to.0, totals);
    }
}
