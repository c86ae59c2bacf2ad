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

fn connected() -> Watch {
    let mut watch = Watch::new([topic("t")]);
    watch.handle_connected();
    assert_eq!(watch.poll_output(), Some(Output::Send(ToBroadcast::Subscribe(vec![topic("t")]))));
    watch.handle_message(FromBroadcast::Subscribed { topic: topic("t"), handle: 7 });
    watch
}

type Seen = (u64, u64, Vec<(String, i64)>);

/// Era, version and totals of what is handed out next.
fn seen(watch: &mut Watch) -> Option<Seen> {
    let view = watch.poll_view()?;
    let flat = view.counts.iter().flat_map(|(i, kinds)| kinds.values().map(|t| (i.as_str().to_owned(), *t)));
    Some((view.era, view.version, flat.collect()))
}

fn expect(of: &[(&str, i64)]) -> Vec<(String, i64)> {
    of.iter().map(|&(item, total)| (item.to_owned(), total)).collect()
}

#[test]
fn a_snapshot_in_pieces_comes_out_whole_and_then_only_changes() {
    let mut watch = connected();
    watch.handle_message(snapshot(version(0, 3), &[("a", 1)], false));
    assert_eq!(seen(&mut watch), None);
    watch.handle_message(snapshot(version(0, 3), &[("b", 2)], true));
    assert_eq!(seen(&mut watch), Some((0, 3, expect(&[("a", 1), ("b", 2)]))));
    watch.handle_datagram(&datagram(&[changes(version(0, 4), &[("b", 5)])]));
    assert_eq!(seen(&mut watch), Some((0, 4, expect(&[("b", 5)]))));
    assert_eq!(seen(&mut watch), None);
}

#[test]
fn a_topic_never_counted_is_shown_empty() {
    let mut watch = connected();
    watch.handle_message(snapshot(version(0, 0), &[], true));
    assert_eq!(seen(&mut watch), Some((0, 0, vec![])));
}

#[test]
fn older_totals_never_replace_newer_ones_within_an_era() {
    let mut watch = connected();
    watch.handle_message(snapshot(version(0, 3), &[("a", 1), ("b", 1)], true));
    seen(&mut watch);
    watch.handle_datagram(&datagram(&[changes(version(0, 9), &[("a", 9)])]));
    // A reordered datagram is old for one counter and news for the other.
    watch.handle_datagram(&datagram(&[changes(version(0, 8), &[("a", 8), ("b", 8)])]));
    assert_eq!(seen(&mut watch), Some((0, 9, expect(&[("a", 9), ("b", 8)]))));
    // Another node may lag behind.
    watch.handle_connected();
    watch.handle_message(snapshot(version(0, 5), &[("a", 5), ("b", 5)], true));
    assert_eq!(seen(&mut watch), None);
}

#[test]
fn a_reconnect_shows_only_what_changed_meanwhile() {
    let mut watch = connected();
    watch.handle_message(snapshot(version(0, 3), &[("a", 1), ("b", 1)], true));
    seen(&mut watch);
    watch.handle_connected();
    watch.handle_message(snapshot(version(0, 6), &[("a", 1), ("b", 4)], true));
    assert_eq!(seen(&mut watch), Some((0, 6, expect(&[("b", 4)]))));
}

#[test]
fn half_a_snapshot_of_a_lost_connection_is_forgotten() {
    let mut watch = connected();
    watch.handle_message(snapshot(version(0, 3), &[("gone", 1)], false));
    watch.handle_connected();
    watch.handle_message(snapshot(version(0, 4), &[("a", 1)], true));
    assert_eq!(seen(&mut watch), Some((0, 4, expect(&[("a", 1)]))));
}

#[test]
fn a_higher_era_replaces_everything_and_a_lower_one_nothing() {
    let mut watch = connected();
    watch.handle_message(snapshot(version(1, 30), &[("a", 10), ("b", 10)], true));
    seen(&mut watch);
    watch.handle_datagram(&datagram(&[changes(version(2, 5), &[("a", 2)])]));
    assert_eq!(seen(&mut watch), None, "the era's snapshot comes first");
    watch.handle_message(snapshot(version(2, 5), &[("a", 2)], true));
    assert_eq!(seen(&mut watch), Some((2, 5, expect(&[("a", 2)]))));
    watch.handle_message(snapshot(version(1, 31), &[("a", 11)], true));
    watch.handle_message(FromBroadcast::Changes(changes(version(1, 32), &[("a", 12)])));
    assert_eq!(seen(&mut watch), None);
}

#[test]
fn a_slow_reader_gets_the_latest_of_each_counter_once() {
    let mut watch = connected();
    watch.handle_message(snapshot(version(0, 1), &[("a", 1)], true));
    seen(&mut watch);
    for number in 2..100 {
        let item = if number % 2 == 0 { "a" } else { "b" };
        watch.handle_message(FromBroadcast::Changes(changes(version(0, number), &[(item, number as i64)])));
    }
    assert_eq!(seen(&mut watch), Some((0, 99, expect(&[("a", 98), ("b", 99)]))));
    assert_eq!(seen(&mut watch), None);
}

#[test]
fn garbage_and_unknown_handles_are_dropped() {
    let mut watch = connected();
    watch.handle_message(snapshot(version(0, 1), &[("a", 1)], true));
    seen(&mut watch);
    watch.handle_datagram(&[0xff; 40]);
    watch.handle_datagram(&datagram(&[Changes { handle: 8, ..changes(version(0, 2), &[("a", 2)]) }]));
    assert_eq!(seen(&mut watch), None);
}

#[test]
fn a_node_may_send_its_viewers_away() {
    let mut watch = connected();
    watch.handle_message(FromBroadcast::Move { reason: "leaving".into() });
    assert_eq!(watch.poll_output(), Some(Output::Leave("leaving".into())));
}
