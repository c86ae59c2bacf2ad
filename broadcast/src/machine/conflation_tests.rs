use super::super::testing::*;
use super::super::{Format, Since, ViewerId};
use super::*;
use bytes::Bytes;
use countree_common::wire::publish::FromRoot;
use std::time::Duration;

const TICK: Duration = Duration::from_millis(100);

/// A machine with one root, an audience, and the time.
struct House {
    machine: BroadcastMachine,
    audience: Audience,
    now: Time,
}

impl House {
    fn new() -> Self {
        Self { machine: connected(), audience: Audience::new(), now: Time(0) }
    }

    fn root(&mut self, message: FromRoot) {
        self.machine.handle_from_root(&root("root-0"), message, self.now);
    }

    fn update(&mut self, name: &str, number: u64, some: &[(&str, i64)]) {
        self.root(from_root_update(name, (0, number - 1), (0, number), some));
    }

    fn watch(&mut self, id: u64, format: Format, topics: &[&str]) -> ViewerId {
        let viewer = self.audience.join(&mut self.machine, id, format);
        let topics = topics.iter().map(|t| topic(t)).collect();
        self.machine.handle_subscribe(viewer, topics, Since::Nothing, self.now);
        viewer
    }

    fn arrivals(&mut self, room: impl FnMut(ViewerId) -> Room) -> Vec<Output> {
        self.machine.handle_arrivals(self.now, room);
        self.outputs(false)
    }

    fn tick(&mut self, room: impl FnMut(ViewerId) -> Room) -> Vec<Output> {
        self.now = self.now + TICK;
        self.machine.handle_tick(self.now, room);
        self.outputs(false)
    }

    fn tick_with_loss(&mut self) -> Vec<Output> {
        self.now = self.now + TICK;
        self.machine.handle_tick(self.now, |_| ROOMY);
        self.outputs(true)
    }

    fn outputs(&mut self, lost: bool) -> Vec<Output> {
        let outputs = drain(&mut self.machine);
        self.audience.take(outputs.clone(), || lost);
        outputs
    }
}

fn datagrams(outputs: &[Output]) -> Vec<(ViewerId, Bytes)> {
    let datagram = |output: &Output| match output {
        Output::Datagram { viewer, bytes } => Some((*viewer, bytes.clone())),
        _ => None,
    };
    outputs.iter().filter_map(datagram).collect()
}

fn streams(outputs: &[Output]) -> Vec<ViewerId> {
    let stream = |output: &Output| match output {
        Output::Stream { viewer, .. } => Some(*viewer),
        _ => None,
    };
    outputs.iter().filter_map(stream).collect()
}

#[test]
fn a_subscriber_gets_its_snapshot_at_once_and_then_changes() {
    let mut house = House::new();
    let viewer = house.watch(1, Format::Frames, &["t"]);
    house.arrivals(|_| ROOMY);
    house.root(from_root_snapshot("t", (0, 1), &[("a", 1), ("b", 1)]));
    house.arrivals(|_| ROOMY);
    assert_eq!(house.audience.seen(viewer, "t").total("b"), Some(1));
    house.update("t", 2, &[("a", 2)]);
    let outputs = house.tick(|_| ROOMY);
    assert_eq!((datagrams(&outputs).len(), streams(&outputs).len()), (1, 0));
    let seen = house.audience.seen(viewer, "t");
    assert_eq!((seen.total("a"), seen.total("b"), seen.version), (Some(2), Some(1), version(0, 2)));
}

#[test]
fn nothing_is_sent_and_nobody_is_looked_at_when_nothing_changed() {
    let mut house = House::new();
    house.watch(1, Format::Frames, &["t"]);
    house.root(from_root_snapshot("t", (0, 1), &[("a", 1)]));
    house.arrivals(|_| ROOMY);
    house.tick(|_| ROOMY);
    for _ in 0..50 {
        assert!(house.tick(|_| panic!("asked for a viewer's room")).is_empty());
    }
}

#[test]
fn many_merges_in_a_tick_make_one_datagram_and_one_encoding_for_all() {
    let mut house = House::new();
    for id in 0..100 {
        house.watch(id, Format::Frames, &["t", "u"]);
    }
    house.root(from_root_snapshot("t", (0, 0), &[]));
    house.root(from_root_snapshot("u", (0, 0), &[]));
    house.arrivals(|_| ROOMY);
    for n in 1..=20 {
        house.update("t", n, &[("a", n as i64)]);
        house.update("u", n, &[("a", n as i64)]);
    }
    let sent = datagrams(&house.tick(|_| ROOMY));
    assert_eq!(sent.len(), 100, "one packet each, with both topics in it");
    let first = &sent[0].1;
    assert!(sent.iter().all(|(_, bytes)| std::ptr::eq(bytes.as_ptr(), first.as_ptr())), "made once");
    for id in 0..100 {
        assert_eq!(house.audience.seen(ViewerId(id), "u").total("a"), Some(20));
    }
}

#[test]
fn a_slow_viewer_skips_to_the_newest_and_holds_up_nobody() {
    let mut house = House::new();
    let (slow, quick) = (house.watch(1, Format::Frames, &["t"]), house.watch(2, Format::Frames, &["t"]));
    house.root(from_root_snapshot("t", (0, 0), &[("a", 0)]));
    house.arrivals(|_| ROOMY);
    for n in 1..=30 {
        house.update("t", n, &[("a", n as i64)]);
        house.tick(|viewer| if viewer == slow { NO_ROOM } else { ROOMY });
        assert_eq!(house.audience.seen(quick, "t").total("a"), Some(n as i64));
    }
    assert_eq!(house.audience.seen(slow, "t").total("a"), Some(0));
    assert!(house.machine.take_stats().skips >= 30);
    let before = house.audience.seen(slow, "t").messages;
    house.tick(|_| ROOMY);
    let seen = house.audience.seen(slow, "t");
    assert_eq!((seen.total("a"), seen.messages - before), (Some(30), 1), "the newest, and only that");
}

#[test]
fn what_a_lost_datagram_held_comes_on_the_stream_while_busy_and_when_quiet() {
    let mut house = House::new();
    let viewer = house.watch(1, Format::Frames, &["t"]);
    house.root(from_root_snapshot("t", (0, 0), &[]));
    house.arrivals(|_| ROOMY);
    house.update("t", 1, &[("once", 1)]);
    house.tick_with_loss();
    assert_eq!(house.audience.seen(viewer, "t").total("once"), None);
    for n in 2..=12 {
        house.update("t", n, &[("busy", n as i64)]);
        house.tick_with_loss();
    }
    let seen = house.audience.seen(viewer, "t");
    assert_eq!(seen.total("once"), Some(1), "within about a second of the loss");

    house.update("t", 13, &[("last", 1)]);
    house.tick_with_loss();
    assert_eq!(house.audience.seen(viewer, "t").total("last"), None);
    let quiet_ticks = QUIET.as_millis() / TICK.as_millis() + 1;
    let settled: usize = (0..quiet_ticks).map(|_| streams(&house.tick_with_loss()).len()).sum();
    assert_eq!(house.audience.seen(viewer, "t").total("last"), Some(1));
    assert_eq!(settled, 1, "one settled value");
    assert!((0..20).all(|_| house.tick_with_loss().is_empty()), "and then silence");
}

#[test]
fn more_than_a_datagram_holds_goes_on_the_stream() {
    let mut house = House::new();
    let viewer = house.watch(1, Format::Frames, &["t"]);
    house.root(from_root_snapshot("t", (0, 0), &[]));
    house.arrivals(|_| ROOMY);
    let names: Vec<String> = (0..9_000).map(|n| format!("a-rather-long-item-name-{n}")).collect();
    let many: Vec<(&str, i64)> = names.iter().map(|n| (n.as_str(), 1)).collect();
    house.update("t", 1, &many);
    let outputs = house.tick(|_| ROOMY);
    assert_eq!((datagrams(&outputs).len(), streams(&outputs).len()), (0, 1));
    assert_eq!(house.audience.seen(viewer, "t").totals.len(), 9_000);
    assert_eq!(house.audience.seen(viewer, "t").version, version(0, 1));
}

#[test]
fn a_connection_without_datagrams_gets_everything_on_the_stream() {
    let mut house = House::new();
    let viewer = house.watch(1, Format::Frames, &["t"]);
    house.root(from_root_snapshot("t", (0, 0), &[]));
    house.arrivals(|_| STREAM_ONLY);
    house.update("t", 1, &[("a", 1)]);
    assert_eq!(streams(&house.tick(|_| STREAM_ONLY)), [viewer]);
    assert_eq!(house.audience.seen(viewer, "t").total("a"), Some(1));
    assert!((0..20).all(|_| house.tick(|_| STREAM_ONLY).is_empty()));
}

#[test]
fn a_new_era_brings_a_fresh_snapshot_to_both_kinds_of_viewer() {
    let mut house = House::new();
    let viewers = [house.watch(1, Format::Frames, &["t"]), house.watch(2, Format::Events, &["t"])];
    let room = |v: ViewerId| if v.0 == 1 { ROOMY } else { STREAM_ONLY };
    house.root(from_root_snapshot("t", (0, 9), &[("a", 9), ("forgotten", 1)]));
    house.arrivals(room);
    house.root(from_root_update("t", (0, 7), (1, 8), &[("a", 8)]));
    assert_eq!(house.machine.standing(&topic("t")).unwrap().0, version(0, 9), "it takes a snapshot");
    house.root(from_root_snapshot("t", (1, 8), &[("a", 8)]));
    let outputs = house.arrivals(room);
    assert!(outputs.contains(&Output::Unshare { topic: topic("t") }));
    for viewer in viewers {
        let seen = house.audience.seen(viewer, "t");
        assert_eq!((seen.total("a"), seen.total("forgotten")), (Some(8), None));
        assert_eq!((seen.version, seen.snapshots), (version(1, 8), 2));
    }
}

#[test]
fn a_snapshot_made_for_one_serves_the_next_with_what_changed_since() {
    let mut house = House::new();
    house.watch(1, Format::Events, &["t"]);
    house.root(from_root_snapshot("t", (0, 1), &[("a", 1), ("b", 1)]));
    let shares = |outputs: &[Output]| outputs.iter().filter(|o| matches!(o, Output::Share { .. })).count();
    assert_eq!(shares(&house.arrivals(|_| STREAM_ONLY)), 1);
    house.update("t", 2, &[("a", 2)]);
    let viewer = house.watch(2, Format::Events, &["t"]);
    let outputs = house.arrivals(|_| STREAM_ONLY);
    assert_eq!((shares(&outputs), streams(&outputs)), (0, vec![viewer]));
    let seen = house.audience.seen(viewer, "t");
    assert_eq!((seen.total("a"), seen.total("b"), seen.version), (Some(2), Some(1), version(0, 2)));
}

#[test]
fn a_viewer_that_returns_gets_only_what_changed_since() {
    let mut house = House::new();
    house.watch(1, Format::Events, &["t"]);
    house.root(from_root_snapshot("t", (0, 5), &[("a", 5), ("b", 1)]));
    house.update("t", 6, &[("a", 6)]);
    house.arrivals(|_| STREAM_ONLY);
    let back = |house: &mut House, id, since| {
        let viewer = house.audience.join(&mut house.machine, id, Format::Events);
        house.machine.handle_subscribe(viewer, vec![topic("t")], Since::Held(since), house.now);
        house.arrivals(|_| STREAM_ONLY);
        house.audience.seen(viewer, "t")
    };
    let current = back(&mut house, 2, version(0, 6));
    assert_eq!(
        (current.messages, current.snapshots, current.totals.len()),
        (1, 0, 0),
        "only that it is current"
    );
    let behind = back(&mut house, 3, version(0, 5));
    assert_eq!((behind.snapshots, behind.total("a"), behind.total("b")), (0, Some(6), None));
    let long_ago = back(&mut house, 4, version(0, 4));
    assert_eq!(long_ago.snapshots, 1, "what changed since is not known");
}
