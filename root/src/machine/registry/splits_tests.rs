use super::*;
use countree_common::cluster::Node;

const CAPACITY: f64 = 1_000.0;
const SECOND: Duration = Duration::from_secs(1);

/// Four leaves, whose view takes up what is decided.
struct Bench {
    splits: Splits,
    view: ClusterView,
    now: Time,
    changes: usize,
}

fn leaf(number: usize) -> NodeName {
    NodeName::new(&format!("leaf-{number}")).unwrap()
}

impl Bench {
    fn new(leaves: usize) -> Self {
        let node = |number| Node {
            name: leaf(number),
            tier: Tier::Leaf,
            quic: "127.0.0.1:1".parse().unwrap(),
            http: None,
            incarnation: 1,
        };
        let view = ClusterView { nodes: (0..leaves).map(node).collect(), ..ClusterView::default() };
        Self { splits: Splits::default(), view, now: Time(1_000_000), changes: 0 }
    }

    /// The reports of the leaves when each takes its part of these items.
    fn stats(&self, items: &[(&str, f64)]) -> BTreeMap<NodeName, NodeStats> {
        let mut stats = BTreeMap::new();
        for number in 0..self.view.nodes.len() {
            let part = |(item, rate): &(&str, f64)| {
                let (topic, item) = place(item);
                let ways = self.view.ways(&topic, &item);
                (number < usize::from(ways)).then(|| (topic, item, rate / f64::from(ways)))
            };
            let hot_items = items.iter().filter_map(part).collect();
            stats.insert(leaf(number), NodeStats { capacity: CAPACITY, hot_items, ..NodeStats::default() });
        }
        stats
    }

    fn hears(&mut self, stats: &BTreeMap<NodeName, NodeStats>) {
        self.now = self.now + SECOND;
        if let Some(splits) = self.splits.handle_stats(&self.view, stats, self.now) {
            assert_ne!(splits, self.view.splits);
            self.view.splits = splits;
            self.changes += 1;
        }
    }

    fn seconds(&mut self, seconds: u64, items: &[(&str, f64)]) {
        (0..seconds).for_each(|_| self.hears(&self.stats(items)));
    }

    fn ways(&self) -> Vec<(String, u16)> {
        self.view.splits.iter().map(|split| (split.item.to_string(), split.ways)).collect()
    }
}

fn place(item: &str) -> (Topic, Item) {
    (Topic::new("t").unwrap(), Item::new(item).unwrap())
}

fn ways(ways: &[(&str, u16)]) -> Vec<(String, u16)> {
    ways.iter().map(|(item, ways)| ((*item).to_owned(), *ways)).collect()
}

#[test]
fn an_item_is_split_so_that_no_part_is_more_than_its_share() {
    let mut bench = Bench::new(16);
    bench.seconds(1, &[("cool", 200.0), ("warm", 201.0), ("hot", 1_300.0), ("hottest", 9_000.0)]);
    assert_eq!(bench.ways(), ways(&[("hot", 8), ("hottest", 16), ("warm", 2)]));
    bench.seconds(100, &[("cool", 200.0), ("warm", 201.0), ("hot", 1_300.0), ("hottest", 9_000.0)]);
    assert_eq!(bench.changes, 1, "parts add up to the same item");
}

#[test]
fn a_split_grows_at_once_and_shrinks_by_and_by() {
    let mut bench = Bench::new(8);
    for (rate, expected) in [(250.0, 2), (700.0, 4), (1_500.0, 8)] {
        bench.seconds(1, &[("x", rate)]);
        assert_eq!(bench.ways(), ways(&[("x", expected)]));
    }
    bench.seconds(COOLING.as_secs(), &[]);
    assert_eq!(bench.ways(), ways(&[("x", 8)]), "it may be back");
    bench.seconds(1, &[]);
    assert_eq!(bench.ways(), ways(&[("x", 4)]));
    bench.seconds(3 * COOLING.as_secs(), &[]);
    assert_eq!((bench.ways(), bench.changes), (ways(&[]), 6));
}

#[test]
fn an_item_around_the_threshold_costs_one_change() {
    let mut bench = Bench::new(4);
    for _ in 0..200 {
        bench.seconds(5, &[("x", 210.0)]);
        bench.seconds(20, &[("x", 110.0)]);
        bench.seconds(20, &[("x", 10.0)]);
    }
    assert_eq!((bench.ways(), bench.changes), (ways(&[("x", 2)]), 1));
}

#[test]
fn there_are_no_more_ways_than_leaves() {
    let mut bench = Bench::new(3);
    bench.seconds(1, &[("x", 1e9)]);
    assert_eq!(bench.ways(), ways(&[("x", 3)]));
    bench.view.nodes.pop();
    bench.seconds(1, &[("x", 1e9)]);
    assert_eq!(bench.ways(), ways(&[("x", 2)]));
    bench.view.nodes.pop();
    bench.seconds(1, &[("x", 1e9)]);
    assert_eq!(bench.ways(), ways(&[]));
}

#[test]
fn a_leaf_that_is_not_heard_keeps_splits_as_they_are() {
    let mut bench = Bench::new(4);
    bench.seconds(1, &[("x", 700.0)]);
    let mut stats = bench.stats(&[]);
    stats.remove(&leaf(3));
    (0..200).for_each(|_| bench.hears(&stats));
    assert_eq!((bench.ways(), bench.changes), (ways(&[("x", 4)]), 1));
    (0..200).for_each(|_| bench.hears(&BTreeMap::new()));
    assert_eq!(bench.changes, 1, "nobody was heard");
}

#[test]
fn only_the_hottest_are_split() {
    let mut bench = Bench::new(4);
    let names: Vec<_> = (0..2 * SPLITS_PER_CLUSTER).map(|i| format!("item {i:04}")).collect();
    let items: Vec<_> = (300..).zip(&names).map(|(rate, name)| (name.as_str(), f64::from(rate))).collect();
    bench.seconds(3, &items);
    assert_eq!((bench.view.splits.len(), bench.changes), (SPLITS_PER_CLUSTER, 1));
    assert_eq!(bench.ways()[0].0, names[SPLITS_PER_CLUSTER]);
}
