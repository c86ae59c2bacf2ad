//! Every leaf has to know of a total near its limit before anybody may act on the merge that took it there.

use super::*;
use crate::machine::{ConnectionId, Output, RootMachine};
use countree_common::cluster::NodeName;
use countree_common::cut::{Applied, CounterSum};
use countree_common::document::Version;
use countree_common::key::{Item, Kind, Topic};
use countree_common::stream::StreamId;
use countree_common::time::Now;
use countree_common::wire::uplink::{FromRoot, ToRoot};

const NEAR: i64 = limits::TOTAL_NEAR_LIMIT;

fn name(leaf: u64) -> NodeName {
    NodeName::new(&format!("leaf-{leaf}")).unwrap()
}

/// The alerts that leaves get from here on.
fn told(root: &mut RootMachine) -> Vec<(u64, FromRoot)> {
    std::iter::from_fn(|| root.poll_output())
        .filter_map(|output| match output {
            Output::Answer { connection, message } => Some((connection.0, message)),
            _ => None,
        })
        .collect()
}

/// Leaf 0 adds to a total, which is then this.
fn merge(root: &mut RootMachine, lsn: u64, total: i64) -> Vec<(u64, FromRoot)> {
    let sum = CounterSum { item: Item::new("i").unwrap(), kind: Kind::new("like").unwrap(), delta: 1 };
    let cut = Cut {
        stream: StreamId { leaf: name(0), incarnation: 1 },
        topic: Topic::new("t").unwrap(),
        from: lsn - 1,
        to: lsn,
        sums: vec![sum],
        events: 1,
        era: 0,
    };
    root.handle_leaf(ConnectionId(0), ToRoot::Cuts(vec![cut])).unwrap();
    let Some(Output::Merge { batch, .. }) = root.poll_output() else { panic!("nothing to merge") };
    let version = |number| Version { era: 0, number };
    let applied = Applied {
        version: version(lsn),
        base: version(lsn - 1),
        totals: vec![total],
        events: lsn,
        durable: true,
    };
    root.handle_merged(batch, vec![Some(Outcome::Applied(applied))]);
    told(root)
}

fn near(total: i64) -> FromRoot {
    FromRoot::NearLimit(vec![(Counter::new("t", "i", "like").unwrap(), total)])
}

#[test]
fn all_leaves_are_told_of_totals_near_their_limit_before_the_merge_is_answered() {
    let mut root = RootMachine::new(Now::default());
    (0..2).for_each(|leaf| root.handle_leaf_opened(ConnectionId(leaf), name(leaf)));
    assert_eq!(merge(&mut root, 1, NEAR - 1).len(), 1, "the answer alone");
    for (lsn, total) in [(2, NEAR), (3, -NEAR - 7), (4, 12)] {
        let told = merge(&mut root, lsn, total);
        assert_eq!(told[..2], [(0, near(total)), (1, near(total))], "also when it is no longer near");
        assert!(matches!(told[2..], [(0, FromRoot::Outcomes(_))]), "{told:?}");
    }
    assert_eq!(merge(&mut root, 5, 13).len(), 1, "it is forgotten");
}

#[test]
fn a_leaf_that_comes_later_is_told_what_is_known() {
    let mut root = RootMachine::new(Now::default());
    root.handle_leaf_opened(ConnectionId(0), name(0));
    merge(&mut root, 1, NEAR + 1);
    merge(&mut root, 2, NEAR + 2);
    root.handle_leaf_opened(ConnectionId(1), name(1));
    assert_eq!(told(&mut root), [(1, near(NEAR + 2))]);
}

#[test]
fn totals_of_a_forgotten_topic_are_far_from_their_limit() {
    let mut root = RootMachine::new(Now::default());
    root.handle_leaf_opened(ConnectionId(0), name(0));
    merge(&mut root, 1, NEAR);
    root.handle_forgotten(&Topic::new("other").unwrap(), Version { era: 1, number: 2 });
    assert_eq!(told(&mut root), []);
    root.handle_forgotten(&Topic::new("t").unwrap(), Version { era: 1, number: 2 });
    assert_eq!(totals_told(&told(&mut root)), [(0, vec![0])]);
    root.handle_leaf_opened(ConnectionId(1), name(1));
    assert_eq!(told(&mut root), [], "who comes later is not told");
}

/// The totals that each leaf was sent.
fn totals_told(told: &[(u64, FromRoot)]) -> Vec<(u64, Vec<i64>)> {
    let totals = |(leaf, message): &(u64, FromRoot)| match message {
        FromRoot::NearLimit(totals) => Some((*leaf, totals.iter().map(|(_, total)| *total).collect())),
        FromRoot::Outcomes(_) | FromRoot::Stamp(_) => None,
    };
    told.iter().filter_map(totals).collect()
}
