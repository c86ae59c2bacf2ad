//! A root between random leaves, a store that answers late or never, and broadcast nodes that check
//! every message. The promises: an outcome for every cut, gapless totals, watermarks that never lie.

use super::*;
use crate::machine::documents::Document;
use crate::machine::output::LeafRefused;
use crate::machine::{BatchId, ReadId, StoreSilent};
use countree_common::cluster::{Node, Tier};
use countree_common::cut::CounterSum;
use countree_common::cut::{Cut, Outcome};
use countree_common::document::{Snapshot, Version};
use countree_common::key::{Item, Kind, Topic};
use countree_common::stream::StreamId;
use std::collections::HashMap;
use std::sync::Arc;

const TOPICS: u64 = 3;
const LEAVES: u64 = 3;
const VIEWERS: u64 = 2;
/// The era that the store serves in.
const ERA: u64 = 512;

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) % end
    }

    fn take<T>(&mut self, from: &mut Vec<T>) -> Option<T> {
        if from.is_empty() { None } else { Some(from.swap_remove(self.below(from.len() as u64) as usize)) }
    }
}

fn topic(number: u64) -> Topic {
    Topic::new(&format!("t{number}")).unwrap()
}

fn leaf_name(number: u64) -> NodeName {
    NodeName::new(&format!("leaf-{number}")).unwrap()
}

/// A leaf with at most one cut of each topic under way.
#[derive(Default)]
struct Leaf {
    merged_to: BTreeMap<Topic, u64>,
    under_way: BTreeMap<Topic, Cut>,
    unanswered: Vec<Cut>,
}

/// A broadcast node, and what it holds.
#[derive(Default)]
struct Viewer {
    held: BTreeMap<Topic, (Version, HashMap<Item, i64>)>,
}

struct World {
    random: Random,
    root: RootMachine,
    store: BTreeMap<Topic, Document>,
    /// Merges that the store has not done, and done ones that it has not answered.
    merges: Vec<(BatchId, Arc<[Cut]>)>,
    merged: Vec<(BatchId, Vec<Option<Outcome>>)>,
    reads: Vec<(ReadId, Topic)>,
    read: Vec<(ReadId, Option<Snapshot>)>,
    leaves: Vec<Leaf>,
    viewers: Vec<Viewer>,
    /// The merged events of each topic, as the leaves knew them, when a watermark was reported.
    promised: BTreeMap<u64, BTreeMap<Topic, Version>>,
    acked: BTreeMap<Topic, Version>,
    time: u64,
    lossy: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut root = RootMachine::new(Now::default());
        let node = |number| Node {
            name: leaf_name(number),
            tier: Tier::Leaf,
            quic: "127.0.0.1:1".parse().unwrap(),
            http: None,
            incarnation: 1,
        };
        root.handle_view(&ClusterView {
            epoch: 1,
            nodes: (0..LEAVES).map(node).collect(),
            ..Default::default()
        });
        root.handle_confirmation(Time(u64::MAX));
        root.handle_served_in(ERA);
        (0..LEAVES).for_each(|leaf| root.handle_leaf_opened(ConnectionId(leaf), leaf_name(leaf)));
        (0..VIEWERS).for_each(|v| root.handle_broadcast_opened(ConnectionId(100 + v)).unwrap());
        Self {
            random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            root,
            store: BTreeMap::new(),
            merges: Vec::new(),
            merged: Vec::new(),
            reads: Vec::new(),
            read: Vec::new(),
            leaves: (0..LEAVES).map(|_| Leaf::default()).collect(),
            viewers: (0..VIEWERS).map(|_| Viewer::default()).collect(),
            promised: BTreeMap::new(),
            acked: BTreeMap::new(),
            time: 1,
            lossy: true,
        }
    }

    fn step(&mut self) {
        match self.random.below(9) {
            0 | 1 => self.cut(),
            2 | 3 => self.do_merge(),
            4 => self.answer_merge(),
            5 => self.do_read(),
            6 => self.answer_read(),
            7 => self.change_interest(),
            _ => self.report(),
        }
        self.time += 1;
        self.root.handle_tick(Time(self.time * 10_000));
        self.drain();
    }

    fn cut(&mut self) {
        let (leaf, topic) = (self.random.below(LEAVES), topic(self.random.below(TOPICS)));
        let state = &mut self.leaves[leaf as usize];
        let cuts = if let Some(repeat) = state.unanswered.pop() {
            vec![repeat]
        } else if state.under_way.contains_key(&topic) {
            return;
        } else {
            let from = state.merged_to.get(&topic).copied().unwrap_or_default();
            let sum = |item: u64| CounterSum {
                item: Item::new(&item.to_string()).unwrap(),
                kind: Kind::new("like").unwrap(),
                delta: item as i64 - 1,
            };
            let items: BTreeSet<_> = (0..3).map(|_| self.random.below(4)).collect();
            let cut = Cut {
                stream: StreamId { leaf: leaf_name(leaf), incarnation: 1 },
                topic: topic.clone(),
                from,
                to: from + 1,
                sums: items.into_iter().map(sum).collect(),
                events: 3,
                era: 0,
            };
            state.under_way.insert(topic, cut.clone());
            vec![cut]
        };
        self.root.handle_leaf(ConnectionId(leaf), uplink::ToRoot::Cuts(cuts)).unwrap();
    }

    fn do_merge(&mut self) {
        let Some((batch, cuts)) = self.random.take(&mut self.merges) else { return };
        let store = &mut self.store;
        let outcomes =
            cuts.iter().map(|cut| store.entry(cut.topic.clone()).or_default().merge(cut, ERA, true));
        let mut outcomes: Vec<_> = outcomes.map(Some).collect();
        if self.lossy && self.random.below(4) == 0 {
            outcomes.iter_mut().for_each(|outcome| *outcome = None);
        }
        self.merged.push((batch, outcomes));
    }

    fn answer_merge(&mut self) {
        if let Some((batch, outcomes)) = self.random.take(&mut self.merged) {
            self.root.handle_merged(batch, outcomes);
        }
    }

    fn do_read(&mut self) {
        let Some((read, topic)) = self.random.take(&mut self.reads) else { return };
        let document = self.store.get(&topic).filter(|d| d.version.number > 0);
        self.read.push((read, document.map(|d| d.snapshot(&topic, ERA))));
    }

    fn answer_read(&mut self) {
        let Some((read, snapshot)) = self.random.take(&mut self.read) else { return };
        let fails = self.lossy && self.random.below(5) == 0;
        let result = if fails { Err(StoreSilent) } else { Ok(snapshot) };
        self.root.handle_read(read, result, Time(self.time * 10_000));
    }

    fn change_interest(&mut self) {
        let (viewer, topic) = (self.random.below(VIEWERS), topic(self.random.below(TOPICS)));
        let state = &mut self.viewers[viewer as usize];
        let message = if self.lossy && self.random.below(3) == 0 {
            state.held.remove(&topic);
            publish::ToRoot::Disinterest(vec![topic])
        } else {
            return self.want(viewer, topic);
        };
        self.root.handle_broadcast(ConnectionId(100 + viewer), message).unwrap();
    }

    fn want(&mut self, viewer: u64, topic: Topic) {
        let message = publish::ToRoot::Interest(vec![topic]);
        self.root.handle_broadcast(ConnectionId(100 + viewer), message).unwrap();
    }

    fn report(&mut self) {
        self.promised.insert(self.time, self.acked.clone());
        for leaf in 0..LEAVES {
            let echo = uplink::ToRoot::Echo(Stamp { era: ERA, at: WallMs(self.time) });
            self.root.handle_leaf(ConnectionId(leaf), echo).unwrap();
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.root.poll_output() {
            match output {
                Output::Merge { batch, cuts } => self.merges.push((batch, cuts)),
                Output::Read { read, topic } => self.reads.push((read, topic)),
                Output::Answer { connection, message } => self.leaf_hears(connection, message),
                Output::Publish { connections, message } => {
                    connections.into_iter().for_each(|c| self.viewer_hears(c, &message));
                }
                Output::Snapshot { connection, snapshot } => self.viewer_sees(connection, snapshot),
            }
        }
    }

    fn leaf_hears(&mut self, connection: ConnectionId, message: uplink::FromRoot) {
        let outcomes = match message {
            uplink::FromRoot::Outcomes(outcomes) => outcomes,
            uplink::FromRoot::Stamp(_) => return,
            uplink::FromRoot::NearLimit(_) => panic!("no total is that large"),
        };
        let leaf = &mut self.leaves[connection.0 as usize];
        for answer in outcomes {
            let version = match answer.outcome {
                Some(Outcome::Applied(applied)) => applied.version,
                Some(Outcome::Have { lsn, version, .. }) => {
                    assert_eq!(lsn, answer.to, "only a repeat finds the document elsewhere");
                    version
                }
                Some(Outcome::Overflow) => panic!("nothing is that large"),
                None => {
                    leaf.unanswered.push(leaf.under_way[&answer.topic].clone());
                    continue;
                }
            };
            leaf.under_way.remove(&answer.topic).expect("one answer for each cut");
            leaf.merged_to.insert(answer.topic.clone(), answer.to);
            let acked = self.acked.entry(answer.topic).or_default();
            *acked = version.max(*acked);
        }
    }

    fn viewer_hears(&mut self, connection: ConnectionId, message: &publish::FromRoot) {
        let viewer = &mut self.viewers[(connection.0 - 100) as usize];
        match message {
            publish::FromRoot::Update(update) => {
                let (version, totals) = viewer.held.get_mut(&update.topic).expect("a snapshot comes first");
                assert_eq!(update.base, *version, "a gap");
                *version = update.version;
                totals.extend(update.totals.iter().map(|t| (t.item.clone(), t.total)));
            }
            publish::FromRoot::Watermark(Stamp { era, at: time }) => {
                assert_eq!(*era, ERA);
                if *time == WallMs(0) {
                    return;
                }
                let promised = &self.promised[&time.0];
                for (topic, (version, _)) in &viewer.held {
                    let least = promised.get(topic).copied().unwrap_or_default();
                    assert!(
                        *version >= least,
                        "{topic} is at {version}, and {least} was merged before {time:?}"
                    );
                }
            }
            publish::FromRoot::Snapshot(_) => panic!("snapshots come by themselves"),
        }
    }

    fn viewer_sees(&mut self, connection: ConnectionId, snapshot: Snapshot) {
        let viewer = &mut self.viewers[(connection.0 - 100) as usize];
        let before = viewer.held.get(&snapshot.topic).map(|(version, _)| *version).unwrap_or_default();
        assert!(snapshot.version >= before, "back from {before} to {}", snapshot.version);
        let totals = snapshot.totals.into_iter().map(|t| (t.item, t.total)).collect();
        viewer.held.insert(snapshot.topic, (snapshot.version, totals));
        self.root.handle_snapshot_sent(connection);
    }

    /// Lets everything that is under way come to its end.
    fn settle(&mut self) {
        self.lossy = false;
        for (viewer, topic) in (0..VIEWERS).flat_map(|viewer| (0..TOPICS).map(move |t| (viewer, topic(t)))) {
            self.want(viewer, topic);
        }
        for _ in 0..3_000 {
            self.step();
        }
        while self.leaves.iter().any(|leaf| !leaf.under_way.is_empty())
            || !self.reads.is_empty()
            || !self.read.is_empty()
        {
            for leaf in 0..LEAVES {
                let repeats = std::mem::take(&mut self.leaves[leaf as usize].unanswered);
                self.root.handle_leaf(ConnectionId(leaf), uplink::ToRoot::Cuts(repeats)).unwrap();
            }
            self.time += 1;
            self.root.handle_tick(Time(self.time * 10_000));
            self.drain();
            self.do_merge();
            self.answer_merge();
            self.do_read();
            self.answer_read();
            self.drain();
        }
    }
}

#[test]
fn every_cut_is_answered_and_every_viewer_sees_every_total() {
    for seed in 1..=60 {
        let mut world = World::new(seed);
        (0..1_500).for_each(|_| world.step());
        world.settle();
        for (topic, document) in &world.store {
            let merged: u64 =
                world.leaves.iter().map(|leaf| leaf.merged_to.get(topic).copied().unwrap_or_default()).sum();
            assert_eq!(document.version.number, merged, "seed {seed}: each cut once");
            let totals: HashMap<_, _> =
                document.totals.iter().map(|((item, _), total)| (item.clone(), *total)).collect();
            for viewer in &world.viewers {
                assert_eq!(
                    viewer.held.get(topic),
                    Some(&(document.version, totals.clone())),
                    "seed {seed}, {topic}"
                );
            }
        }
        assert_eq!(world.root.queued_cuts(), 0);
    }
}

#[test]
fn the_cuts_of_one_batch_are_one_update() {
    let mut world = World::new(1);
    world.lossy = false;
    let topic = topic(0);
    world.root.handle_broadcast(ConnectionId(100), publish::ToRoot::Interest(vec![topic.clone()])).unwrap();
    world.drain();
    world.do_read();
    world.answer_read();
    world.drain();
    let cut = |leaf: u64, sums: &[(&str, i64)]| Cut {
        stream: StreamId { leaf: leaf_name(leaf), incarnation: 1 },
        topic: topic.clone(),
        from: 0,
        to: 1,
        sums: sums
            .iter()
            .map(|(i, d)| CounterSum {
                item: Item::new(i).unwrap(),
                kind: Kind::new("k").unwrap(),
                delta: *d,
            })
            .collect(),
        events: 1,
        era: 0,
    };
    // The first goes by itself; the others gather behind it.
    let cuts = [cut(0, &[("a", 1)]), cut(1, &[("a", 5), ("b", 1)]), cut(2, &[("c", 0), ("b", 2), ("a", 1)])];
    for (leaf, cut) in (0..).zip(cuts) {
        world.leaves[leaf as usize].under_way.insert(topic.clone(), cut.clone());
        world.root.handle_leaf(ConnectionId(leaf), uplink::ToRoot::Cuts(vec![cut])).unwrap();
        if leaf == 0 {
            world.drain();
        }
    }
    world.do_merge();
    world.answer_merge();
    world.drain();
    // The first merge begins an era, which is read.
    world.do_read();
    world.answer_read();
    world.drain();
    world.do_merge();
    world.answer_merge();
    let updates: Vec<_> = std::iter::from_fn(|| world.root.poll_output())
        .filter_map(|output| match output {
            Output::Publish { message: publish::FromRoot::Update(update), .. } => Some(update),
            _ => None,
        })
        .collect();
    assert_eq!(updates.len(), 1);
    let totals: Vec<_> = updates[0].totals.iter().map(|t| (t.item.as_str(), t.total)).collect();
    assert_eq!((updates[0].base.number, updates[0].version.number), (1, 3));
    assert_eq!(totals, [("a", 7), ("b", 3), ("c", 0)]);
}

#[test]
fn what_another_root_merged_while_the_ring_changed_is_read_a_while_later() {
    let mut root = RootMachine::new(Now::default());
    let connection = ConnectionId(1);
    root.handle_broadcast_opened(connection).unwrap();
    root.handle_broadcast(connection, publish::ToRoot::Interest(vec![topic(0)])).unwrap();
    let reads = |root: &mut RootMachine, at: u64| {
        root.handle_tick(Time(0) + Duration::from_secs(at));
        let mut count = 0;
        while let Some(output) = root.poll_output() {
            match output {
                Output::Read { read, .. } => {
                    count += 1;
                    root.handle_read(read, Ok(None), Time(0) + Duration::from_secs(at));
                }
                Output::Snapshot { connection, .. } => root.handle_snapshot_sent(connection),
                _ => {}
            }
        }
        count
    };
    assert_eq!(reads(&mut root, 1), 1);
    let node = |name: &str, tier| Node {
        name: NodeName::new(name).unwrap(),
        tier,
        quic: ([127, 0, 0, 1], 1).into(),
        http: None,
        incarnation: 1,
    };
    let mut view = ClusterView { epoch: 1, ..ClusterView::default() };
    for (name, tier, expected) in [("root-1", Tier::Root, 1), ("leaf-1", Tier::Leaf, 0)] {
        view.nodes.push(node(name, tier));
        let now = root.now.0 / 1_000_000;
        root.handle_view(&view);
        assert_eq!(reads(&mut root, now + 9), 0, "leaves with an older view are given time");
        assert_eq!(reads(&mut root, now + 11), expected, "{name}");
    }
}

fn likes(from: u64, to: u64) -> Cut {
    let sums = vec![CounterSum {
        item: countree_common::key::Item::new("i").unwrap(),
        kind: countree_common::key::Kind::new("like").unwrap(),
        delta: 1,
    }];
    let stream = StreamId { leaf: leaf_name(0), incarnation: 1 };
    Cut { stream, topic: topic(0), from, to, era: 0, sums, events: 1 }
}

#[test]
fn nothing_is_asked_of_a_store_that_is_not_this_clusters() {
    let mut root = RootMachine::new(Now::default());
    root.handle_leaf_opened(ConnectionId(1), leaf_name(0));
    root.handle_broadcast_opened(ConnectionId(2)).unwrap();
    root.handle_fence(true);
    root.handle_leaf(ConnectionId(1), uplink::ToRoot::Cuts(vec![likes(0, 1)])).unwrap();
    root.handle_broadcast(ConnectionId(2), publish::ToRoot::Interest(vec![topic(0)])).unwrap();
    assert_eq!(root.poll_output(), None);
    root.handle_fence(false);
    assert!(matches!(root.poll_output(), Some(Output::Merge { .. })), "the cut has waited");
    assert!(matches!(root.poll_output(), Some(Output::Read { .. })));
}

#[test]
fn a_leaf_whose_folder_belongs_to_another_store_is_sent_away() {
    use countree_common::store::StoreId;
    let mut root = RootMachine::new(Now::default());
    root.handle_stores([StoreId(1), StoreId(2)].into());
    root.handle_leaf_opened(ConnectionId(1), leaf_name(0));
    for store in [1, 2] {
        assert_eq!(root.handle_leaf(ConnectionId(1), uplink::ToRoot::Store(StoreId(store))), Ok(()));
    }
    let refused = root.handle_leaf(ConnectionId(1), uplink::ToRoot::Store(StoreId(3)));
    assert_eq!(refused, Err(LeafRefused::Foreign(StoreId(3))));
}
