use super::super::testing::*;
use super::super::{Format, Since, ViewerId};
use super::*;
use countree_common::stamp::Stamp;
use countree_common::time::WallMs;

const VIEWER: ViewerId = ViewerId(1);

fn seconds(s: u64) -> Time {
    Time(s * 1_000_000)
}

fn watch(machine: &mut BroadcastMachine, name: &str, now: Time) -> Vec<(String, ToRoot)> {
    machine.handle_viewer_joined(VIEWER, Format::Frames);
    machine.handle_subscribe(VIEWER, vec![topic(name)], Since::Nothing, now);
    to_roots(&drain(machine))
}

fn interest(root: &str, name: &str) -> (String, ToRoot) {
    (root.into(), ToRoot::Interest(vec![topic(name)]))
}

fn disinterest(root: &str, name: &str) -> (String, ToRoot) {
    (root.into(), ToRoot::Disinterest(vec![topic(name)]))
}

fn tick(machine: &mut BroadcastMachine, now: Time) -> Vec<Output> {
    machine.handle_tick(now, |_| ROOMY);
    drain(machine)
}

#[test]
fn a_gap_asks_for_one_snapshot_and_no_more() {
    let mut machine = connected();
    let from = root("root-0");
    assert_eq!(watch(&mut machine, "t", Time(0)), [interest("root-0", "t")]);
    machine.handle_from_root(&from, from_root_update("t", (0, 1), (0, 2), &[("a", 2)]), Time(1));
    assert_eq!(to_roots(&drain(&mut machine)), [], "a snapshot is on its way already");
    machine.handle_from_root(&from, from_root_snapshot("t", (0, 2), &[("a", 2)]), Time(2));
    machine.handle_from_root(&from, from_root_update("t", (0, 3), (0, 4), &[("a", 4)]), Time(3));
    machine.handle_from_root(&from, from_root_update("t", (0, 4), (0, 5), &[("a", 5)]), Time(4));
    assert_eq!(to_roots(&drain(&mut machine)), [interest("root-0", "t")]);
    assert_eq!(machine.standing(&topic("t")).unwrap().0, version(0, 2), "nothing is applied across a gap");
    machine.handle_from_root(&from, from_root_snapshot("t", (0, 5), &[("a", 5)]), Time(5));
    assert_eq!(machine.standing(&topic("t")).unwrap().0, version(0, 5));
}

#[test]
fn a_snapshot_that_does_not_come_is_asked_for_again() {
    let mut machine = connected();
    watch(&mut machine, "t", Time(0));
    assert_eq!(to_roots(&tick(&mut machine, seconds(9))), []);
    assert_eq!(to_roots(&tick(&mut machine, seconds(10))), [interest("root-0", "t")]);
    machine.handle_from_root(&root("root-0"), from_root_snapshot("t", (0, 0), &[]), seconds(11));
    assert_eq!(to_roots(&tick(&mut machine, seconds(30))), []);
}

#[test]
fn older_versions_are_ignored() {
    let mut machine = connected();
    let from = root("root-0");
    watch(&mut machine, "t", Time(0));
    machine.handle_from_root(&from, from_root_snapshot("t", (1, 5), &[("a", 5)]), Time(0));
    machine.handle_from_root(&from, from_root_snapshot("t", (1, 4), &[("a", 4)]), Time(0));
    machine.handle_from_root(&from, from_root_update("t", (1, 3), (1, 4), &[("a", 4)]), Time(0));
    assert_eq!(machine.standing(&topic("t")).unwrap().0, version(1, 5));
    assert_eq!(to_roots(&drain(&mut machine)), []);
}

#[test]
fn a_root_is_followed_into_any_era_and_an_update_of_another_asks_for_it() {
    let mut machine = connected();
    let from = root("root-0");
    watch(&mut machine, "t", Time(0));
    for era in [5, 6, 2] {
        machine.handle_from_root(&from, from_root_snapshot("t", (era, 9), &[("a", 1)]), Time(0));
        assert_eq!(machine.standing(&topic("t")).unwrap().0, version(era, 9));
    }
    machine.handle_from_root(&from, from_root_update("t", (1, 9), (1, 10), &[("a", 9)]), Time(0));
    assert_eq!(machine.standing(&topic("t")).unwrap().0, version(2, 9));
    assert_eq!(to_roots(&drain(&mut machine)), [interest("root-0", "t")]);
}

#[test]
fn a_reconnected_root_is_told_of_all_interest_again() {
    let mut machine = connected();
    watch(&mut machine, "t", Time(0));
    machine.handle_subscribe(VIEWER, vec![topic("u")], Since::Nothing, Time(0));
    drain(&mut machine);
    machine.handle_root_lost(&root("root-0"));
    machine.handle_subscribe(VIEWER, vec![topic("v")], Since::Nothing, Time(1));
    assert_eq!(to_roots(&drain(&mut machine)), [], "there is no root to tell");
    machine.handle_root_connected(&root("root-0"), Time(2));
    let all = ToRoot::Interest(vec![topic("t"), topic("u"), topic("v")]);
    assert_eq!(to_roots(&drain(&mut machine)), [("root-0".into(), all)]);
}

/// A topic that moves from `root-0` to `root-1` when that root joins.
fn moving_topic() -> String {
    let ring = Ring::new([root("root-0"), root("root-1")]);
    let name = |n: &u32| format!("t{n}");
    (0..).map(|n| name(&n)).find(|t| ring.topic_owner(&topic(t)).unwrap().as_str() == "root-1").unwrap()
}

#[test]
fn interest_moves_to_the_new_owner_and_stays_at_the_old_one_for_a_while() {
    let mut machine = connected();
    let name = moving_topic();
    watch(&mut machine, &name, Time(0));
    machine.handle_from_root(&root("root-0"), from_root_snapshot(&name, (0, 1), &[("a", 1)]), Time(0));
    machine.handle_view(&view(2, &["root-0", "root-1"]), seconds(1));
    let outputs = drain(&mut machine);
    assert!(matches!(outputs.as_slice(), [Output::Connect { root, .. }] if root.as_str() == "root-1"));
    machine.handle_root_connected(&root("root-1"), seconds(1));
    assert_eq!(to_roots(&drain(&mut machine)), [interest("root-1", &name)]);

    let late = from_root_update(&name, (0, 1), (0, 2), &[("a", 2)]);
    machine.handle_from_root(&root("root-0"), late, seconds(2));
    assert_eq!(machine.standing(&topic(&name)).unwrap().0, version(0, 2), "the old owner is listened to");
    assert_eq!(to_roots(&tick(&mut machine, seconds(5))), []);
    machine.handle_from_root(&root("root-1"), from_root_snapshot(&name, (0, 2), &[("a", 2)]), seconds(6));
    assert_eq!(to_roots(&tick(&mut machine, seconds(31))), [disinterest("root-0", &name)]);

    machine.handle_view(&view(3, &["root-1"]), seconds(40));
    assert!(!tick(&mut machine, seconds(69)).iter().any(|o| matches!(o, Output::Disconnect { .. })));
    assert!(tick(&mut machine, seconds(70)).contains(&Output::Disconnect { root: root("root-0") }));
}

#[test]
fn the_watermark_speaks_only_for_what_the_owner_has_sent() {
    let mut machine = connected();
    let name = moving_topic();
    let complete_to = |machine: &BroadcastMachine| machine.standing(&topic(&name)).unwrap().1.0;
    let mark = |machine: &mut BroadcastMachine, name: &str, to| {
        machine.handle_from_root(&root(name), FromRoot::Watermark(Stamp { era: 0, at: WallMs(to) }), Time(0));
    };
    watch(&mut machine, &name, Time(0));
    mark(&mut machine, "root-0", 100);
    machine.handle_from_root(&root("root-0"), from_root_snapshot(&name, (0, 1), &[("a", 1)]), Time(0));
    assert_eq!(complete_to(&machine), 100);

    machine.handle_from_root(&root("root-0"), from_root_update(&name, (0, 5), (0, 6), &[]), Time(0));
    mark(&mut machine, "root-0", 200);
    assert_eq!(complete_to(&machine), 100, "what lies in the gap is not shown");
    machine.handle_from_root(&root("root-0"), from_root_snapshot(&name, (0, 6), &[("a", 6)]), Time(0));
    assert_eq!(complete_to(&machine), 200);

    machine.handle_view(&view(2, &["root-0", "root-1"]), Time(0));
    machine.handle_root_connected(&root("root-1"), Time(0));
    mark(&mut machine, "root-0", 300);
    mark(&mut machine, "root-1", 300);
    assert_eq!(complete_to(&machine), 200, "the new owner has not sent anything yet");
    machine.handle_from_root(&root("root-1"), from_root_snapshot(&name, (0, 6), &[("a", 6)]), Time(0));
    assert_eq!(complete_to(&machine), 300);
    machine.handle_root_lost(&root("root-1"));
    assert_eq!(complete_to(&machine), 300);
}

#[test]
fn what_is_complete_is_what_a_root_told_last_of_this_era() {
    let mut machine = connected();
    let complete_to = |machine: &BroadcastMachine| machine.standing(&topic("t")).unwrap().1.0;
    let mark = |machine: &mut BroadcastMachine, era, to| {
        let stamp = Stamp { era, at: WallMs(to) };
        machine.handle_from_root(&root("root-0"), FromRoot::Watermark(stamp), Time(0));
    };
    watch(&mut machine, "t", Time(0));
    machine.handle_from_root(&root("root-0"), from_root_snapshot("t", (5_000, 1), &[("a", 1)]), Time(0));
    mark(&mut machine, 5_000, 900);
    assert_eq!(complete_to(&machine), 900);
    // As another root would claim whose clock was behind at its start.
    mark(&mut machine, 5_000, 200);
    assert_eq!(complete_to(&machine), 200, "the last word, not the highest");

    // The store is another one: what it lacks is not there yet.
    machine.handle_from_root(&root("root-0"), from_root_snapshot("t", (3_000, 1), &[("a", 1)]), Time(0));
    assert_eq!(complete_to(&machine), 0);
    mark(&mut machine, 5_000, 300);
    assert_eq!(complete_to(&machine), 0, "this is said of the store before");
    mark(&mut machine, 3_000, 250);
    assert_eq!(complete_to(&machine), 250);
    machine.handle_root_lost(&root("root-0"));
    assert_eq!(complete_to(&machine), 250, "totals stay as complete as they were");
}

#[test]
fn a_topic_that_nobody_watches_is_given_up_after_a_while() {
    let mut machine = connected();
    watch(&mut machine, "t", Time(0));
    machine.handle_from_root(&root("root-0"), from_root_snapshot("t", (0, 1), &[("a", 1)]), Time(0));
    machine.handle_viewer_left(VIEWER, seconds(10));
    assert_eq!(to_roots(&tick(&mut machine, seconds(39))), []);
    assert_eq!(watch(&mut machine, "t", seconds(39)), [], "it is kept for viewers that return");
    tick(&mut machine, seconds(90));
    assert_eq!(machine.topics(), 1);
    machine.handle_unsubscribe(VIEWER, vec![topic("t")], seconds(90));
    assert_eq!(to_roots(&tick(&mut machine, seconds(120))), [disinterest("root-0", "t")]);
    assert_eq!(machine.topics(), 0);
}

#[test]
fn a_full_node_gives_up_idle_topics_first_and_then_sends_viewers_elsewhere() {
    let mut machine = BroadcastMachine::new(2);
    machine.handle_viewer_joined(VIEWER, Format::Frames);
    machine.handle_subscribe(VIEWER, vec![topic("a"), topic("b")], Since::Nothing, Time(0));
    machine.handle_unsubscribe(VIEWER, vec![topic("a")], Time(1));
    machine.handle_subscribe(VIEWER, vec![topic("c")], Since::Nothing, Time(2));
    assert!(drain(&mut machine).is_empty());
    machine.handle_subscribe(VIEWER, vec![topic("d")], Since::Nothing, Time(3));
    assert!(matches!(drain(&mut machine).as_slice(), [Output::Dismiss { viewer: VIEWER, .. }]));
    assert_eq!((machine.viewers(), machine.topics()), (0, 2));
}
