use super::*;
use countree_common::document::CounterTotal;
use countree_common::key::{Item, Kind};

const ONE: ConnectionId = ConnectionId(1);
const TWO: ConnectionId = ConnectionId(2);

fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

fn version(number: u64) -> Version {
    Version { era: 0, number }
}

fn total(item: &str, total: i64) -> CounterTotal {
    CounterTotal { item: Item::new(item).unwrap(), kind: Kind::new("like").unwrap(), total }
}

fn snapshot(number: u64, totals: &[(&str, i64)]) -> Snapshot {
    Snapshot {
        topic: topic("t"),
        version: version(number),
        totals: totals.iter().map(|(i, t)| total(i, *t)).collect(),
    }
}

fn update(base: u64, totals: &[(&str, i64)]) -> Update {
    let Snapshot { topic, version, totals } = snapshot(base + 1, totals);
    Update { topic, base: self::version(base), version, totals }
}

/// One connection that wants `t`, with the read under way.
fn reading() -> (Interests, ReadId) {
    let mut interests = Interests::default();
    interests.open(ONE).unwrap();
    interests.follow(ONE, vec![topic("t")]).unwrap();
    let (read, _) = interests.next_read().unwrap();
    (interests, read)
}

fn arrive(interests: &mut Interests, read: ReadId, snapshot: Snapshot) -> Option<Snapshot> {
    match interests.handle_read(read, Some(snapshot)) {
        ReadResult::Send(ONE, snapshot) => Some(snapshot),
        ReadResult::Send(other, _) => panic!("sent to {other:?}"),
        ReadResult::Nothing => None,
    }
}

#[test]
fn updates_follow_upon_the_snapshot() {
    let (mut interests, read) = reading();
    assert_eq!(interests.publish(&update(4, &[("a", 1)])), [], "nothing before the snapshot");
    interests.handle_read_failed(read);
    let (read, _) = interests.next_read().unwrap();
    assert!(arrive(&mut interests, read, snapshot(5, &[("a", 1)])).is_some());
    assert_eq!(interests.publish(&update(5, &[("a", 2)])), [ONE]);
    assert_eq!(interests.publish(&update(5, &[("a", 2)])), [], "once is enough");
    assert_eq!(interests.publish(&update(3, &[("a", 0)])), [], "an older one is ignored");
    assert!(interests.next_read().is_none());
}

#[test]
fn updates_during_the_read_are_in_the_snapshot() {
    let (mut interests, read) = reading();
    for base in [4, 5, 6] {
        interests.publish(&update(base, &[("a", base as i64 + 1), ("new", base as i64)]));
    }
    let sent = arrive(&mut interests, read, snapshot(5, &[("a", 5), ("b", 9)])).unwrap();
    assert_eq!(sent, snapshot(7, &[("a", 7), ("b", 9), ("new", 6)]));
    assert_eq!(interests.publish(&update(7, &[])), [ONE]);
}

#[test]
fn a_snapshot_that_misses_something_is_read_again() {
    let (mut interests, read) = reading();
    interests.publish(&update(8, &[("a", 1)]));
    assert!(arrive(&mut interests, read, snapshot(5, &[])).is_none(), "6 to 8 are missing");
    let (read, _) = interests.next_read().unwrap();
    interests.notice(&topic("t"), version(12));
    assert!(arrive(&mut interests, read, snapshot(11, &[])).is_none(), "12 was seen in the store");
    let (read, _) = interests.next_read().unwrap();
    assert!(arrive(&mut interests, read, snapshot(12, &[])).is_some());
}

#[test]
fn a_gap_and_what_was_seen_elsewhere_are_made_up_for() {
    let (mut interests, read) = reading();
    arrive(&mut interests, read, snapshot(1, &[])).unwrap();
    for lost in [2, 7] {
        assert!(interests.is_up_to_date(ONE));
        if lost == 2 {
            assert_eq!(interests.publish(&update(lost, &[("a", 1)])), [], "it would leave a gap");
        } else {
            interests.notice(&topic("t"), version(lost + 1));
        }
        assert!(!interests.is_up_to_date(ONE));
        let (read, _) = interests.next_read().unwrap();
        arrive(&mut interests, read, snapshot(lost + 1, &[])).unwrap();
    }
    assert!(interests.is_up_to_date(ONE));
    interests.notice(&topic("t"), version(3));
    assert!(interests.is_up_to_date(ONE), "an old version is no news");
}

#[test]
fn a_topic_wanted_anew_does_not_take_the_old_read() {
    let (mut interests, old) = reading();
    interests.unfollow(ONE, &[topic("t")]);
    interests.publish(&update(5, &[("a", 1)]));
    interests.follow(ONE, vec![topic("t")]).unwrap();
    let (new, _) = interests.next_read().unwrap();
    assert!(arrive(&mut interests, old, snapshot(5, &[])).is_none());
    assert!(arrive(&mut interests, new, snapshot(6, &[("a", 1)])).is_some());
}

#[test]
fn asking_again_brings_a_new_snapshot() {
    let (mut interests, read) = reading();
    interests.follow(ONE, vec![topic("t"), topic("t")]).unwrap();
    arrive(&mut interests, read, snapshot(1, &[])).unwrap();
    assert!(interests.next_read().is_none(), "the one under way is the one asked for");
    interests.follow(ONE, vec![topic("t"), topic("t")]).unwrap();
    let (read, _) = interests.next_read().unwrap();
    assert!(interests.next_read().is_none());
    assert!(arrive(&mut interests, read, snapshot(1, &[])).is_some());
}

#[test]
fn connections_are_apart() {
    let (mut interests, read) = reading();
    interests.open(TWO).unwrap();
    interests.follow(TWO, vec![topic("t")]).unwrap();
    arrive(&mut interests, read, snapshot(1, &[])).unwrap();
    let (second, _) = interests.next_read().unwrap();
    assert_eq!(interests.publish(&update(1, &[])), [ONE]);
    assert!(
        matches!(interests.handle_read(second, Some(snapshot(1, &[]))), ReadResult::Send(TWO, s) if s.version == version(2))
    );
    assert_eq!(interests.publish(&update(2, &[])), [ONE, TWO]);
    interests.close(ONE);
    assert_eq!(interests.publish(&update(3, &[])), [TWO]);
    interests.close(TWO);
    assert_eq!(interests.topics(), 0);
}

#[test]
fn a_connection_is_sent_a_few_snapshots_at_a_time() {
    let mut interests = Interests::default();
    interests.open(ONE).unwrap();
    interests.follow(ONE, (0..100).map(|i| topic(&i.to_string())).collect()).unwrap();
    let reads: Vec<_> = std::iter::from_fn(|| interests.next_read()).collect();
    assert_eq!(reads.len(), SNAPSHOTS_UNDER_WAY);
    assert!(
        matches!(interests.handle_read(reads[0].0, None), ReadResult::Send(ONE, s) if s.version == version(0))
    );
    assert!(interests.next_read().is_none(), "it has not left yet");
    interests.handle_snapshot_sent(ONE);
    assert!(interests.next_read().is_some());
    interests.handle_read_failed(reads[1].0);
    assert!(interests.next_read().is_some());
}

#[test]
fn following_and_unfollowing_in_turns_does_not_pile_up() {
    let mut interests = Interests::default();
    interests.open(ONE).unwrap();
    for _ in 0..1_000 {
        interests.follow(ONE, vec![topic("t")]).unwrap();
        interests.unfollow(ONE, &[topic("t")]);
    }
    assert!(interests.connections[&ONE].queue.len() <= 2);
}

#[test]
fn too_many_updates_during_a_read_cost_another_read() {
    let (mut interests, read) = reading();
    let items: Vec<_> = (0..TOTALS_HELD / 2 + 1).map(|i| i.to_string()).collect();
    let totals: Vec<_> = items.iter().map(|item| (item.as_str(), 1)).collect();
    interests.publish(&update(0, &totals));
    interests.publish(&update(1, &totals));
    assert!(arrive(&mut interests, read, snapshot(0, &[])).is_none());
    let (read, _) = interests.next_read().unwrap();
    assert!(arrive(&mut interests, read, snapshot(2, &[])).is_some());
}

#[test]
fn a_new_era_brings_a_new_snapshot() {
    let new_era = |mut update: Update| {
        update.version.era = 1;
        update
    };
    let (mut interests, read) = reading();
    interests.publish(&new_era(update(5, &[("a", 1)])));
    assert!(arrive(&mut interests, read, snapshot(5, &[("a", 9)])).is_none(), "5 may have been another 5");
    let (read, _) = interests.next_read().unwrap();
    let mut sent = snapshot(6, &[("a", 1)]);
    sent.version.era = 1;
    assert_eq!(arrive(&mut interests, read, sent.clone()), Some(sent.clone()));

    let mut next = new_era(update(6, &[("a", 2)]));
    assert_eq!(interests.publish(&next), [], "as many merges, but of the era before");
    (next.base.era, next.base.number, next.version.era, next.version.number) = (1, 6, 2, 7);
    assert_eq!(interests.publish(&next), []);
    assert!(!interests.is_up_to_date(ONE));
    assert!(interests.next_read().is_some());
}

#[test]
fn when_the_store_may_have_gone_back_everything_is_read_again() {
    let (mut interests, read) = reading();
    interests.follow(ONE, vec![topic("u")]).unwrap();
    arrive(&mut interests, read, snapshot(5, &[("a", 1)])).unwrap();
    let (old, _) = interests.next_read().unwrap();
    interests.read_all_again();
    assert!(!interests.is_up_to_date(ONE), "what it was sent may be more than there is");
    let other = Snapshot { topic: topic("u"), ..snapshot(1, &[]) };
    assert!(arrive(&mut interests, old, other.clone()).is_none(), "read before");
    let raised = Version { era: 1, number: 2 };
    let (mut reads, mut sent) = (Vec::new(), Vec::new());
    while let Some((read, topic)) = interests.next_read() {
        reads.push(topic.clone());
        sent.extend(arrive(&mut interests, read, Snapshot { topic, version: raised, totals: vec![] }));
    }
    reads.sort();
    assert_eq!((reads, sent.len()), (vec![topic("t"), topic("u")], 2));
    assert!(interests.is_up_to_date(ONE));
}
