use super::super::*;
use super::fixture::*;
use countree_common::cluster::{ClusterView, Split};
use countree_common::key::{Item, Topic};
use countree_common::session::SessionId;
use countree_common::wire::producer::{BusyReason, FromLeaf};
use std::time::Duration;

/// Two leaves, each with one batch that is sent and unacked. Returns an item of leaf-0's.
fn two_leaves(options: ProducerOptions) -> (Fixture, String) {
    let mut f = Fixture::new(options, &["leaf-0", "leaf-1"]);
    let mut own = None;
    for n in 0.. {
        let item = format!("i{n}");
        f.send(&item, 1);
        if f.links.contains_key("leaf-0") && own.is_none() {
            own = Some(item);
        }
        if f.links.len() == 2 {
            break;
        }
    }
    for leaf in ["leaf-0", "leaf-1"] {
        f.connect(leaf);
        let Some((_, Sent::Open(session))) = f.take_sent().pop() else { panic!("no Open") };
        f.says(leaf, FromLeaf::Opened { session, last: 0 });
    }
    f.take_sent();
    f.resolved.clear();
    (f, own.unwrap())
}

fn receivers(f: &mut Fixture) -> Vec<String> {
    f.take_sent().into_iter().map(|(leaf, _)| leaf).collect()
}

#[test]
fn events_go_to_their_owner() {
    let (mut f, own) = two_leaves(single());
    f.send(&own, 5);
    assert_eq!(receivers(&mut f), ["leaf-0"]);
}

#[test]
fn when_a_leaf_drains_new_events_go_elsewhere_and_sent_ones_wait_there() {
    let (mut f, own) = two_leaves(single());
    f.says("leaf-0", FromLeaf::Draining);
    f.send(&own, 5);
    assert_eq!(receivers(&mut f), ["leaf-1"]);
    f.says("leaf-0", ack(1));
    assert_eq!(f.resolved, [(1, Fate::Acked)]);
}

#[test]
fn what_a_draining_leaf_did_not_take_goes_elsewhere_and_what_it_took_does_not() {
    let (mut f, own) = two_leaves(single());
    f.send_all(&[(&own, 5), (&own, 6)]);
    f.take_sent();
    f.says("leaf-0", FromLeaf::Draining);
    f.says("leaf-0", ack(1));
    f.says("leaf-0", FromLeaf::Ended { session: SessionId(100), last: 2 });
    let sent = f.take_sent();
    assert!(matches!(&sent[..], [(leaf, Sent::Batch { deltas, .. })] if leaf == "leaf-1" && *deltas == [6]));
    assert_eq!(f.resolved, [(1, Fate::Acked), (1, Fate::Acked)]);
    assert!(!f.links.contains_key("leaf-0"), "nothing is left to say there");
    f.pass(MS * 100);
    assert_eq!(f.take_sent(), []);
}

#[test]
fn when_a_leaf_leaves_the_view_its_sent_batches_go_nowhere_else() {
    let (mut f, own) = two_leaves(single());
    f.lose("leaf-0");
    f.see(&view(2, &["leaf-1"]));
    let ask = Sent::Ask(name("leaf-0"), SessionId(100));
    assert_eq!(f.take_sent(), [("leaf-1".into(), ask)], "a leaf that may know their outcome is asked");
    f.send(&own, 5);
    f.pass(MS * 50);
    assert_eq!(receivers(&mut f), ["leaf-1"]);
    f.says("leaf-1", FromLeaf::SessionEnd { session: SessionId(100), last: None });
    f.see(&view(3, &["leaf-0", "leaf-1"]));
    f.connect("leaf-0");
    f.says("leaf-0", FromLeaf::Opened { session: SessionId(100), last: 0 });
    let sent = f.take_sent();
    assert!(
        matches!(&sent[..], [(_, Sent::Resume(SessionId(100))), (leaf, Sent::Batch { seq: 1, .. })] if leaf == "leaf-0")
    );
}

#[test]
fn what_a_leaf_that_is_gone_had_counted_is_learnt_from_another_and_the_rest_goes_elsewhere() {
    let (mut f, own) = two_leaves(single());
    f.send(&own, 5);
    f.lose("leaf-0");
    f.see(&view(2, &["leaf-1"]));
    f.take_sent();
    f.pass(MS * 500);
    let asked = |(leaf, sent): &(String, Sent)| leaf == "leaf-1" && matches!(sent, Sent::Ask(..));
    assert_eq!(f.take_sent().iter().filter(|sent| asked(sent)).count(), 1, "again after a while");
    f.says("leaf-1", FromLeaf::SessionEnd { session: SessionId(100), last: Some(1) });
    assert_eq!(f.resolved, [(1, Fate::Acked)]);
    let sent = f.take_sent();
    assert!(matches!(&sent[..], [(leaf, Sent::Batch { deltas, .. })] if leaf == "leaf-1" && *deltas == [5]));
}

#[test]
fn a_leaf_is_connected_to_just_to_ask_it() {
    let mut f = Fixture::ready(single());
    f.lose("leaf-0");
    f.see(&view(2, &["leaf-1"]));
    f.connect("leaf-1");
    f.says("leaf-1", FromLeaf::Opened { session: SessionId(101), last: 0 });
    f.take_sent();
    f.pass(MS * 500);
    let ask = Sent::Ask(name("leaf-0"), SessionId(100));
    assert_eq!(f.take_sent(), [("leaf-1".into(), ask)]);
}

#[test]
fn a_leaf_that_came_back_after_its_seal_ends_the_session_and_takes_the_rest_in_a_new_one() {
    let mut f = Fixture::ready(single());
    f.send("c", 2);
    f.lose("leaf-0");
    f.pass(MS * 50);
    f.connect("leaf-0");
    f.take_sent();
    f.says("leaf-0", FromLeaf::Ended { session: SessionId(100), last: 1 });
    assert_eq!(f.resolved, [(1, Fate::Acked)]);
    assert_eq!(f.take_sent(), [("leaf-0".into(), Sent::Open(SessionId(101)))]);
    f.says("leaf-0", FromLeaf::Opened { session: SessionId(101), last: 0 });
    assert_eq!(f.batches(), [(1, vec![2])]);
}

#[test]
fn a_split_item_is_spread_evenly() {
    let leaves = ["leaf-0", "leaf-1", "leaf-2", "leaf-3"];
    let mut f = Fixture::new(ProducerOptions { batch_events: 1_000, ..ProducerOptions::default() }, &leaves);
    let split = Split { topic: Topic::new("t").unwrap(), item: Item::new("hot").unwrap(), ways: 4 };
    f.see(&ClusterView { splits: vec![split], ..view(2, &leaves) });
    for n in 0..1_000 {
        // Nine of ten events are for one item.
        let cold = format!("c{n}");
        f.send_all(&[("hot", 1); 9]);
        f.send(&cold, 1);
    }
    f.machine.handle_flush(f.now);
    f.pass(Duration::ZERO);
    let mut events = Vec::new();
    for leaf in leaves {
        f.connect(leaf);
        let Some((_, Sent::Open(session))) = f.take_sent().pop() else { panic!("no Open") };
        f.says(leaf, FromLeaf::Opened { session, last: 0 });
        events.push(f.batches().iter().map(|(_, deltas)| deltas.len()).sum::<usize>());
    }
    assert_eq!(events.iter().sum::<usize>(), 10_000);
    assert!(events.iter().all(|of| *of < 2_500 * 13 / 10), "{events:?}");
}

#[test]
fn what_was_never_sent_moves_on_with_the_ring() {
    let (mut f, own) = two_leaves(single());
    f.says("leaf-0", FromLeaf::Busy { seq: 1, reason: BusyReason::DiskFull, retry_after_ms: 1_000 });
    f.send(&own, 7);
    assert_eq!(f.take_sent(), []);
    f.see(&view(2, &["leaf-1"]));
    let sent = f.take_sent();
    assert!(matches!(&sent[..], [(leaf, Sent::Batch { deltas, .. })] if leaf == "leaf-1" && *deltas == [7]));
}

#[test]
fn a_leaf_at_another_address_is_connected_to_anew() {
    let mut f = Fixture::ready(single());
    let old = f.links["leaf-0"];
    let moved = countree_common::cluster::ClusterView {
        epoch: 2,
        nodes: vec![node("leaf-0", 2)],
        ..Default::default()
    };
    f.see(&moved);
    assert_ne!(f.links["leaf-0"], old);
}

#[test]
fn without_leaves_events_wait_for_one_but_not_for_ever() {
    let mut f = Fixture::new(single(), &[]);
    f.send("a", 1);
    assert!(f.machine.is_cut_off(f.now));
    f.see(&view(2, &["leaf-0"]));
    assert!(f.links.contains_key("leaf-0"));
    let mut f = Fixture::new(single(), &[]);
    f.send("a", 1);
    f.pass(single().give_up);
    assert!(matches!(f.resolved[..], [(1, Fate::Rejected(_))]));
}

#[test]
fn a_quiet_lane_sends_at_once_and_a_busy_one_waits_for_company() {
    let mut f = Fixture::ready(ProducerOptions { linger: MS * 3, ..ProducerOptions::default() });
    assert_eq!(f.batches(), [(1, vec![1])]);
    f.send("a", 2);
    f.pass(MS * 2);
    f.send("b", 3);
    assert_eq!(f.batches(), []);
    assert_eq!(f.machine.next_deadline(), Some(f.now + MS));
    f.pass(MS);
    assert_eq!(f.batches(), [(2, vec![2, 3])]);
    f.pass(MS * 3);
    f.send("c", 4);
    assert_eq!(f.batches(), [(3, vec![4])]);
}

#[test]
fn a_full_batch_waits_for_nothing() {
    let mut f = Fixture::ready(ProducerOptions { batch_events: 2, ..ProducerOptions::default() });
    f.take_sent();
    f.send_all(&[("a", 2), ("b", 3), ("c", 4)]);
    assert_eq!(f.batches(), [(2, vec![2, 3])]);
}

#[test]
fn a_flush_sends_at_once_and_waits_only_for_what_came_before() {
    let mut f = Fixture::ready(ProducerOptions::default());
    f.take_sent();
    f.send("a", 2);
    let flush = f.machine.handle_flush(f.now);
    f.pass(Duration::ZERO);
    f.send("b", 3);
    assert_eq!(f.batches(), [(2, vec![2])]);
    f.says("leaf-0", ack(1));
    assert!(f.flushed.is_empty());
    f.says("leaf-0", ack(2));
    assert_eq!(f.flushed, [flush]);
    assert!(!f.machine.is_empty());
}

#[test]
fn giving_everything_up_resolves_everything() {
    let mut f = Fixture::ready(ProducerOptions { in_flight_batches: 1, ..single() });
    f.send("a", 2);
    f.machine.handle_abandon(f.now, "unauthorised");
    f.pass(Duration::ZERO);
    assert!(matches!(f.resolved[..], [(1, Fate::InDoubt(_)), (1, Fate::Rejected(_))]));
    assert!(f.machine.is_empty());
}
