use super::*;
use std::collections::HashMap;

fn names(n: usize) -> Vec<NodeName> {
    (0..n).map(|i| NodeName::new(&format!("leaf-{i}")).unwrap()).collect()
}

fn placements(ring: &Ring, items: usize) -> Vec<NodeName> {
    let topic = Topic::new("live/show").unwrap();
    (0..items)
        .map(|i| ring.item_owner(&topic, &Item::new(&format!("comment-{i}")).unwrap()).unwrap().clone())
        .collect()
}

#[test]
fn an_empty_ring_owns_nothing() {
    let ring = Ring::new([]);
    assert!(ring.is_empty());
    assert!(ring.topic_owner(&Topic::new("t").unwrap()).is_none());
}

#[test]
fn golden_vectors() {
    let ring = Ring::new(names(4));
    let topics: Vec<_> = ["a", "live/irl-stream", "site/nasa", "é", "user/0", "user/1"]
        .iter()
        .map(|t| ring.topic_owner(&Topic::new(t).unwrap()).unwrap().as_str().to_owned())
        .collect();
    let items: Vec<_> = placements(&ring, 6).iter().map(|n| n.as_str().to_owned()).collect();
    assert_eq!(topics, GOLDEN_TOPICS, "clients of other versions would disagree with this ring");
    assert_eq!(items, GOLDEN_ITEMS, "clients of other versions would disagree with this ring");
}

const GOLDEN_TOPICS: [&str; 6] = ["leaf-1", "leaf-2", "leaf-0", "leaf-3", "leaf-2", "leaf-3"];
const GOLDEN_ITEMS: [&str; 6] = ["leaf-1", "leaf-1", "leaf-3", "leaf-2", "leaf-3", "leaf-2"];

#[test]
fn a_split_item_goes_to_so_many_leaves_its_owner_first() {
    let ring = Ring::new(names(8));
    let (topic, item) = (Topic::new("live/show").unwrap(), Item::new("stream").unwrap());
    let owners: Vec<_> = ring.item_owners(&topic, &item, 4).into_iter().map(NodeName::as_str).collect();
    assert_eq!(owners, GOLDEN_SPLIT, "clients of other versions would disagree with this ring");
    assert_eq!(ring.item_owners(&topic, &item, 1), [ring.item_owner(&topic, &item).unwrap()]);
    assert_eq!(ring.item_owners(&topic, &item, 8).len(), 8);
    assert_eq!(ring.item_owners(&topic, &item, 20).len(), 8, "no more than there are");
    assert!(Ring::new([]).item_owners(&topic, &item, 2).is_empty());
}

const GOLDEN_SPLIT: [&str; 4] = ["leaf-0", "leaf-2", "leaf-4", "leaf-7"];

#[test]
fn the_order_of_nodes_does_not_matter() {
    let mut backwards = names(5);
    backwards.reverse();
    assert_eq!(placements(&Ring::new(names(5)), 1_000), placements(&Ring::new(backwards), 1_000));
}

#[test]
fn the_largest_share_is_within_ten_percent_of_the_mean() {
    for nodes in [2, 4, 8, 16] {
        let items = 200_000;
        let mut share: HashMap<NodeName, usize> = HashMap::new();
        for owner in placements(&Ring::new(names(nodes)), items) {
            *share.entry(owner).or_default() += 1;
        }
        let mean = items as f64 / nodes as f64;
        let largest = *share.values().max().unwrap() as f64;
        assert!(largest <= mean * 1.10, "{nodes} nodes: largest {largest}, mean {mean}");
    }
}

#[test]
fn a_joining_node_takes_its_share_and_moves_nothing_else() {
    let items = 100_000;
    let before = placements(&Ring::new(names(4)), items);
    let after = placements(&Ring::new(names(5)), items);
    let newcomer = &names(5)[4];
    let moved = before.iter().zip(&after).filter(|(b, a)| b != a).count();
    assert!(before.iter().zip(&after).all(|(b, a)| b == a || a == newcomer), "only to the newcomer");
    assert!(moved as f64 <= items as f64 / 5.0 * 1.10, "moved {moved} of {items}");
}
