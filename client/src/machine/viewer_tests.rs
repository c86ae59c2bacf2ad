use super::*;

fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

fn version(era: u64, number: u64) -> Version {
    Version { era, number }
}

fn totals(of: &[(&str, i64)]) -> Vec<CounterTotal> {
    let kind = Kind::new("like").unwrap();
    of.iter()
        .map(|&(item, total)| CounterTotal { item: Item::new(item).unwrap(), kind: kind.clone(), total })
        .collect()
}

fn snapshot(version: Version, of: &[(&str, i64)], last: bool) -> FromBroadcast {
    FromBroadcast::Snapshot(SnapshotPart { topic: topic("t"), version, totals: totals(of), last })
}

fn changes(version: Version, of: &[(&str, i64)]) -> Changes {
    Changes { handle: 7, version, complete_to: WallMs(version.number), totals: totals(of) }
}

fn datagram(changes: &[Changes]) -> Vec<u8> {
    changes.iter().flat_map(|c| countree_common::wire::codec::encode(c).unwrap()).collect()
}

/// A viewer of one topic, and its conversation with the present node.
struct Screen {
    watch: ViewerMachine,
    feed: Feed,
}

impl Screen {
    fn hears(&mut self, message: FromBroadcast) {
        assert_eq!(self.watch.handle_message(&mut self.feed, message), Ok(None));
    }

    fn hears_datagram(&mut self, bytes: &[u8]) {
        self.watch.handle_datagram(&self.feed, bytes);
    }

    /// Replaces the connection by a new one.
    fn reconnect(&mut self) {
        self.feed = self.watch.connected().1;
    }
}

fn connected() -> Screen {
    let watch = ViewerMachine::new([topic("t")]);
    let ([message, _], feed) = watch.connected();
    assert_eq!(message, ToBroadcast::Subscribe(vec![topic("t")]));
    let mut screen = Screen { watch, feed };
    screen.hears(FromBroadcast::Subscribed { topic: topic("t"), handle: 7 });
    screen
}

type Seen = (u64, u64, Vec<(String, i64)>);

/// Returns era, version and totals of the next change.
fn seen(screen: &mut Screen) -> Option<Seen> {
    let view = screen.watch.poll_view()?;
    let flat = view.counts.iter().flat_map(|(i, kinds)| kinds.values().map(|t| (i.as_str().to_owned(), *t)));
    Some((view.era, view.version, flat.collect()))
}

fn expect(of: &[(&str, i64)]) -> Vec<(String, i64)> {
    of.iter().map(|&(item, total)| (item.to_owned(), total)).collect()
}

#[test]
fn a_snapshot_in_pieces_comes_out_whole_and_then_only_changes() {
    let mut screen = connected();
    screen.hears(snapshot(version(0, 3), &[("a", 1)], false));
    assert_eq!(seen(&mut screen), None);
    screen.hears(snapshot(version(0, 3), &[("b", 2)], true));
    assert_eq!(seen(&mut screen), Some((0, 3, expect(&[("a", 1), ("b", 2)]))));
    screen.hears_datagram(&datagram(&[changes(version(0, 4), &[("b", 5)])]));
    assert_eq!(seen(&mut screen), Some((0, 4, expect(&[("b", 5)]))));
    assert_eq!(seen(&mut screen), None);
}

#[test]
fn a_topic_never_counted_is_shown_empty() {
    let mut screen = connected();
    screen.hears(snapshot(version(0, 0), &[], true));
    assert_eq!(seen(&mut screen), Some((0, 0, vec![])));
}

#[test]
fn older_totals_never_replace_newer_ones_within_an_era() {
    let mut screen = connected();
    screen.hears(snapshot(version(0, 3), &[("a", 1), ("b", 1)], true));
    seen(&mut screen);
    screen.hears_datagram(&datagram(&[changes(version(0, 9), &[("a", 9)])]));
    // A reordered datagram is old for one counter and news for the other.
    screen.hears_datagram(&datagram(&[changes(version(0, 8), &[("a", 8), ("b", 8)])]));
    assert_eq!(seen(&mut screen), Some((0, 9, expect(&[("a", 9), ("b", 8)]))));
    // Another node may lag behind.
    screen.reconnect();
    screen.hears(snapshot(version(0, 5), &[("a", 5), ("b", 5)], true));
    assert_eq!(seen(&mut screen), None);
}

#[test]
fn a_reconnect_shows_only_what_changed_meanwhile() {
    let mut screen = connected();
    screen.hears(snapshot(version(0, 3), &[("a", 1), ("b", 1)], true));
    seen(&mut screen);
    screen.reconnect();
    screen.hears(snapshot(version(0, 6), &[("a", 1), ("b", 4)], true));
    assert_eq!(seen(&mut screen), Some((0, 6, expect(&[("b", 4)]))));
}

#[test]
fn half_a_snapshot_of_a_lost_connection_is_forgotten() {
    let mut screen = connected();
    screen.hears(snapshot(version(0, 3), &[("gone", 1)], false));
    screen.reconnect();
    screen.hears(snapshot(version(0, 4), &[("a", 1)], true));
    assert_eq!(seen(&mut screen), Some((0, 4, expect(&[("a", 1)]))));
}

#[test]
fn another_era_replaces_everything_whether_it_is_higher_or_lower() {
    let mut screen = connected();
    screen.hears(snapshot(version(5, 30), &[("a", 10), ("b", 10)], true));
    seen(&mut screen);
    for era in [6, 2] {
        screen.hears_datagram(&datagram(&[changes(version(era, 5), &[("a", 2)])]));
        assert_eq!(seen(&mut screen), None, "the era's snapshot comes first");
        screen.hears(snapshot(version(era, 5), &[("a", 2)], true));
        assert_eq!(seen(&mut screen), Some((era, 5, expect(&[("a", 2)]))));
    }
    screen.hears(FromBroadcast::Changes(changes(version(6, 32), &[("a", 12)])));
    assert_eq!(seen(&mut screen), None, "what is late from the era before");
}

#[test]
fn a_new_conversation_takes_another_era_and_nothing_lower_within_one() {
    let mut screen = connected();
    screen.hears(snapshot(version(5, 25), &[("a", 25)], true));
    seen(&mut screen);
    let ([message, _], feed) = screen.watch.connected();
    assert_eq!(
        message,
        ToBroadcast::Resume(vec![(topic("t"), version(5, 25))]),
        "the node gets the version that is held"
    );
    screen.feed = feed;
    screen.hears(snapshot(version(5, 20), &[("a", 20)], true));
    assert_eq!(seen(&mut screen), None);
    screen.reconnect();
    screen.hears(snapshot(version(3, 4), &[("a", 4)], true));
    assert_eq!(seen(&mut screen), Some((3, 4, expect(&[("a", 4)]))), "the store is another");
    screen.reconnect();
    screen.hears(snapshot(version(0, 0), &[], true));
    assert_eq!(seen(&mut screen), Some((0, 0, vec![])), "and one in which nothing was counted");
}

#[test]
fn of_two_nodes_in_different_eras_the_one_that_does_not_know_what_is_held_is_asked_anew() {
    let mut screen = connected();
    screen.hears(snapshot(version(5, 25), &[("a", 25)], true));
    seen(&mut screen);
    let (_, mut next) = screen.watch.connected();
    screen.hears(snapshot(version(3, 4), &[("a", 4)], true));
    assert!(seen(&mut screen).is_some());
    let behind = snapshot(version(5, 26), &[("a", 26)], true);
    assert_eq!(screen.watch.handle_message(&mut next, behind), Err(Outdated));
    assert_eq!(seen(&mut screen), None);
    screen.reconnect();
    screen.hears(snapshot(version(6, 1), &[("a", 5)], true));
    assert_eq!(seen(&mut screen), Some((6, 1, expect(&[("a", 5)]))));
}

#[test]
fn a_slow_reader_gets_the_latest_of_each_counter_once() {
    let mut screen = connected();
    screen.hears(snapshot(version(0, 1), &[("a", 1)], true));
    seen(&mut screen);
    for number in 2..100 {
        let item = if number % 2 == 0 { "a" } else { "b" };
        screen.hears(FromBroadcast::Changes(changes(version(0, number), &[(item, number as i64)])));
    }
    assert_eq!(seen(&mut screen), Some((0, 99, expect(&[("a", 98), ("b", 99)]))));
    assert_eq!(seen(&mut screen), None);
}

#[test]
fn garbage_and_unknown_handles_are_dropped() {
    let mut screen = connected();
    screen.hears(snapshot(version(0, 1), &[("a", 1)], true));
    seen(&mut screen);
    screen.hears_datagram(&[0xff; 40]);
    screen.hears_datagram(&datagram(&[Changes { handle: 8, ..changes(version(0, 2), &[("a", 2)]) }]));
    assert_eq!(seen(&mut screen), None);
}

#[test]
fn a_viewer_that_is_sent_away_hears_both_nodes_until_it_has_arrived() {
    let mut screen = connected();
    screen.hears(snapshot(version(0, 3), &[("a", 3)], true));
    assert!(seen(&mut screen).is_some());
    let alternates = vec![(NodeName::new("broadcast-1").unwrap(), "10.0.0.1:1".parse().unwrap())];
    let message =
        FromBroadcast::Move { reason: "leaving".into(), alternates: alternates.clone(), within_ms: 200 };
    let departure = Departure { reason: "leaving".into(), alternates, within: Duration::from_millis(200) };
    assert_eq!(screen.watch.handle_message(&mut screen.feed, message), Ok(Some(departure)));

    let (_, mut next) = screen.watch.connected();
    screen.hears(FromBroadcast::Changes(changes(version(0, 5), &[("a", 5)])));
    assert_eq!(seen(&mut screen), Some((0, 5, expect(&[("a", 5)]))), "the old node is still heard");
    assert!(!next.is_complete());
    // The other node may lag behind for a moment.
    let behind = snapshot(version(0, 4), &[("a", 4), ("b", 1)], true);
    assert_eq!(screen.watch.handle_message(&mut next, behind), Ok(None));
    assert!(next.is_complete());
    assert_eq!(seen(&mut screen), Some((0, 5, expect(&[("b", 1)]))), "and nothing goes back");
}

#[test]
fn only_what_came_on_the_stream_is_said_to_be_complete() {
    let mut screen = connected();
    let shown = |screen: &mut Screen| screen.watch.poll_view().unwrap().complete_to;
    screen.hears(snapshot(version(0, 1), &[("a", 1), ("b", 1)], true));
    screen.hears(FromBroadcast::Changes(changes(version(0, 2), &[("a", 2)])));
    assert_eq!(shown(&mut screen), WallMs(2));
    // The datagram with version 3, which changed another counter, is lost.
    screen.hears_datagram(&datagram(&[changes(version(0, 4), &[("a", 4)])]));
    assert_eq!(shown(&mut screen), WallMs(2));
    screen.hears(FromBroadcast::Changes(changes(version(0, 4), &[("a", 4), ("b", 3)])));
    assert_eq!(shown(&mut screen), WallMs(4));
    let from_another_root = Changes { complete_to: WallMs(1), ..changes(version(0, 5), &[("a", 5)]) };
    screen.hears(FromBroadcast::Changes(from_another_root));
    assert_eq!(shown(&mut screen), WallMs(1), "the last word, not the highest");
}

#[test]
fn leaves_that_are_away_are_named_with_every_topic_as_soon_as_they_are() {
    let mut screen = connected();
    let leaf = || vec![NodeName::new("leaf-1").unwrap()];
    screen.hears(FromBroadcast::Away(leaf()));
    assert_eq!(screen.watch.poll_view(), None, "nothing is shown yet");
    screen.hears(snapshot(version(0, 1), &[("a", 1)], true));
    assert_eq!(screen.watch.poll_view().unwrap().away, leaf());
    screen.hears(FromBroadcast::Away(leaf()));
    assert_eq!(screen.watch.poll_view(), None);
    screen.hears(FromBroadcast::Away(Vec::new()));
    let view = screen.watch.poll_view().unwrap();
    assert_eq!((view.away, view.counts.len(), view.version), (Vec::new(), 0, 1));
}
