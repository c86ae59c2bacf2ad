//! Checks the promises of a store, one function for each.

use super::{
    Broken, NodeName, Seq, SessionId, SessionTable, Store, applied, cut, ensure, have, merge, merge_all,
    named, read_counts, stream, sum, topic, version, whatever_durability,
};
use crate::machine::identity::binding::FoundStore;
use countree_common::cut::{CounterSum, Cut, Outcome};
use countree_common::document::counts;
use countree_common::limits::{ITEM_BYTES, KIND_BYTES, TOPIC_BYTES};
use countree_common::store::{StoreId, StoreRecord};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Merges a cut and compares the answer, but for its durability.
async fn expect(
    store: &impl Store,
    promise: &'static str,
    cut: Cut,
    expected: Outcome,
) -> Result<(), Broken> {
    ensure(promise, whatever_durability(merge(store, cut).await?), expected)
}

pub(super) async fn an_identity_is_written_by_its_revision(store: &impl Store) -> Result<(), Broken> {
    let promise = "a new store has no identity";
    ensure(promise, store.identity().await?, FoundStore::default())?;
    let mut first = StoreRecord::new(StoreId(7));
    first.begin_start(u64::MAX);
    ensure("the first identity is taken", store.put_identity(first.clone()).await?, true)?;
    let other = StoreRecord::new(StoreId(8));
    ensure("another first one is refused", store.put_identity(other).await?, false)?;
    let found = store.identity().await?;
    ensure("the store proves itself", found.is_shard_missing, false)?;
    let Some(second) = found.record else { return Err(Broken::Name("no identity".into())) };
    ensure("the identity is kept", (second.id, &second.starts), (first.id, &first.starts))?;
    ensure("the next one is taken", store.put_identity(second.clone()).await?, true)?;
    ensure("and no other for the same revision", store.put_identity(second).await?, false)
}

pub(super) async fn a_missing_topic_is_none(store: &impl Store) -> Result<(), Broken> {
    ensure("a topic never counted is not there", store.read(&topic("never counted")?).await?, None)
}

pub(super) async fn a_cut_is_merged_once(store: &impl Store) -> Result<(), Broken> {
    let topic = topic("once")?;
    let first = cut(&topic, (0, 7), vec![sum("a", "like", 5)?, sum("b", "view", 2)?])?;
    expect(store, "a first cut goes in", first.clone(), applied(1, &[5, 2], 2)).await?;
    expect(store, "a repeat is told where the document stands", first, have(7, 2, 1)).await?;
    let second = cut(&topic, (7, 9), vec![sum("a", "like", -1)?])?;
    expect(store, "the next cut goes on from there", second, applied(2, &[4], 3)).await?;
    let found = read_counts(store, &topic).await?;
    let totals = [("a", "like", 4), ("b", "view", 2)];
    ensure("each event counts once", found, (version(0, 2), expected_counts(&totals)?))
}

pub(super) async fn a_gap_is_refused(store: &impl Store) -> Result<(), Broken> {
    let topic = topic("gap")?;
    let ahead = |range| cut(&topic, range, vec![sum("a", "like", 1)?]);
    expect(store, "a cut past a gap is refused by a new document", ahead((3, 5))?, have(0, 0, 0)).await?;
    ensure("a refused cut makes no document", store.read(&topic).await?, None)?;
    expect(store, "a first cut goes in", ahead((0, 5))?, applied(1, &[1], 1)).await?;
    expect(store, "a cut past a gap is refused", ahead((6, 8))?, have(5, 1, 1)).await?;
    expect(store, "an overlapping cut is refused", ahead((2, 8))?, have(5, 1, 1)).await?;
    let found = read_counts(store, &topic).await?;
    ensure("refused cuts count nothing", found, (version(0, 1), expected_counts(&[("a", "like", 1)])?))
}

pub(super) async fn a_probe_changes_nothing(store: &impl Store) -> Result<(), Broken> {
    let topic = topic("probe")?;
    let probe = |at| cut(&topic, (at, at), Vec::new());
    expect(store, "a probe of a topic never counted finds 0", probe(0)?, have(0, 0, 0)).await?;
    ensure("a probe makes no document", store.read(&topic).await?, None)?;
    let first = cut(&topic, (0, 4), vec![sum("a", "like", 1)?])?;
    expect(store, "a first cut goes in", first, applied(1, &[1], 1)).await?;
    expect(store, "a probe that matches finds it", probe(4)?, have(4, 1, 1)).await?;
    let with_era = Cut { era: 9, ..probe(4)? };
    expect(store, "a probe raises no era", with_era, have(4, 1, 1)).await?;
    expect(store, "a probe elsewhere finds it too", probe(2)?, have(4, 1, 1)).await
}

pub(super) async fn streams_are_counted_apart(store: &impl Store) -> Result<(), Broken> {
    let topic = topic("two streams")?;
    let like = || Ok::<_, Broken>(vec![sum("a", "like", 1)?]);
    let of = |leaf, range| Ok::<_, Broken>(Cut { stream: stream(leaf)?, ..cut(&topic, range, like()?)? });
    expect(store, "the first stream begins", of("leaf-a", (0, 10))?, applied(1, &[1], 1)).await?;
    expect(store, "the second begins at 0 too", of("leaf-b", (0, 3))?, applied(2, &[2], 1)).await?;
    expect(store, "the first goes on", of("leaf-a", (10, 11))?, applied(3, &[3], 2)).await?;
    expect(store, "the second is where it was", of("leaf-b", (10, 12))?, have(3, 1, 3)).await?;
    let restarted =
        Cut { stream: super::StreamId { incarnation: 2, ..stream("leaf-a")? }, ..of("leaf-a", (0, 1))? };
    expect(store, "a new incarnation is another stream", restarted, applied(4, &[4], 1)).await
}

pub(super) async fn cancelling_sums_count_as_events(store: &impl Store) -> Result<(), Broken> {
    let topic = topic("cancel")?;
    let zero = Cut { events: 6, ..cut(&topic, (0, 6), vec![sum("a", "like", 0)?])? };
    expect(store, "a sum of 0 has a total", zero, applied(1, &[0], 6)).await?;
    let empty = Cut { events: 2, ..cut(&topic, (6, 8), Vec::new())? };
    expect(store, "no sums at all move the position", empty, applied(2, &[], 8)).await?;
    let next = cut(&topic, (8, 9), vec![sum("a", "like", -3)?])?;
    expect(store, "a total may be negative", next, applied(3, &[-3], 9)).await
}

pub(super) async fn an_overflow_refuses_the_whole_cut(store: &impl Store) -> Result<(), Broken> {
    let topic = topic("overflow")?;
    let ends = vec![sum("high", "n", i64::MAX)?, sum("low", "n", i64::MIN)?, sum("free", "n", 1)?];
    let ends = cut(&topic, (0, 1), ends)?;
    expect(store, "both ends of the range can be held", ends, applied(1, &[i64::MAX, i64::MIN, 1], 3))
        .await?;
    let before = read_counts(store, &topic).await?;
    for (item, delta) in [("high", 1), ("low", -1), ("high", i64::MAX), ("low", i64::MIN)] {
        let over =
            cut(&topic, (1, 2), vec![sum("free", "n", 1)?, sum(item, "n", delta)?, sum("new", "n", 1)?])?;
        expect(store, "a total out of range refuses the cut", over, Outcome::Overflow).await?;
        ensure("an overflow changes nothing", read_counts(store, &topic).await?, before.clone())?;
    }
    let room = cut(&topic, (1, 3), vec![sum("high", "n", -1)?, sum("low", "n", i64::MAX)?])?;
    expect(store, "a change into the range goes in", room, applied(2, &[i64::MAX - 1, -1], 5)).await
}

pub(super) async fn totals_beyond_doubles_are_exact(store: &impl Store) -> Result<(), Broken> {
    let topic = topic("exact")?;
    // Around 2^53, 10^9, 10^15 and 10^18, where doubles, the script's halves and its short cut end.
    let deltas = [
        (1 << 53) + 1,
        1,
        -2,
        999_999_999,
        1,
        -1_000_000_000,
        999_999_999_999_999,
        1,
        -9_007_199_254_740_993,
        -999_999_999_999_999,
        1_000_000_000_000_000_001,
        -2_000_000_000_000_000_003,
        123_456_789_012_345_678,
        876_543_210_987_654_324,
    ];
    let mut total = 0i64;
    for (number, delta) in (1..).zip(deltas) {
        total += delta;
        let next = cut(&topic, (number - 1, number), vec![sum("n", "n", delta)?])?;
        expect(store, "sums are exact to the last digit", next, applied(number, &[total], number)).await?;
    }
    let large = cut(&topic, (deltas.len() as u64, u64::MAX), vec![sum("n", "n", -total)?])?;
    let zero = applied(deltas.len() as u64 + 1, &[0], deltas.len() as u64 + 1);
    expect(store, "an LSN may be any u64", large, zero).await?;
    let probe = cut(&topic, (u64::MAX - 1, u64::MAX - 1), Vec::new())?;
    let count = deltas.len() as u64 + 1;
    expect(store, "LSNs that doubles can't tell apart differ", probe, have(u64::MAX, count, count)).await
}

pub(super) async fn extreme_names_come_back(store: &impl Store) -> Result<(), Broken> {
    let long_topic = "t".repeat(TOPIC_BYTES);
    let long_item = "☃".repeat(ITEM_BYTES / 3);
    let long_kind = "%".repeat(KIND_BYTES);
    let topics =
        [":", "%", "a:b", "a", "a\u{0}b", "new\nline", "{slot}x", "ünï ☃", "*?[x]", long_topic.as_str()];
    let items = [":", "%3A", "a:b", " ", "\r\n", "\u{0}", "{}", "total:like:x", "☃", long_item.as_str()];
    let kinds = [":", "%", "%3A", "a:b", "-", "\u{0}", "è", long_kind.as_str()];
    for name in topics {
        let topic = topic(name)?;
        let pairs = items.iter().flat_map(|item| kinds.iter().map(move |kind| (*item, *kind)));
        let totals: Vec<_> = (1..).zip(pairs).map(|(total, (item, kind))| (item, kind, total)).collect();
        let sums =
            totals.iter().map(|(item, kind, total)| sum(item, kind, *total)).collect::<Result<_, _>>()?;
        merge(store, cut(&topic, (0, 1), sums)?).await?;
        let found = read_counts(store, &topic).await?;
        ensure("every name comes back as it was", found, (version(0, 1), expected_counts(&totals)?))?;
    }
    Ok(())
}

pub(super) async fn the_era_is_a_floor(store: &impl Store) -> Result<(), Broken> {
    let topic = topic("era")?;
    const OTHER: u64 = countree_common::era::GAP;
    for (to, floor, era) in [(1, 0, 0), (2, 9, 9), (3, 3, 9), (4, OTHER, 9), (5, 10, 10), (6, 0, 10)] {
        let next = Cut { era: floor, ..cut(&topic, (to - 1, to), vec![sum("a", "like", 1)?])? };
        match merge(store, next).await? {
            Outcome::Applied(applied) => ensure("the era never falls", applied.version, version(era, to))?,
            other => ensure("the cut goes in", Some(other), None)?,
        }
        ensure("the era is kept", read_counts(store, &topic).await?.0, version(era, to))?;
    }
    Ok(())
}

pub(super) async fn a_big_cut_goes_in_whole(store: &impl Store) -> Result<(), Broken> {
    const COUNTERS: i64 = 20_000;
    let topic = topic("big")?;
    let sums = |last: i64| {
        let many = (0..COUNTERS).map(|i| sum(&format!("item {i}"), "like", i));
        many.chain([sum("last", "like", last)]).collect::<Result<Vec<_>, _>>()
    };
    let totals = |factor: i64, last: i64| (0..COUNTERS).map(|i| factor * i).chain([last]).collect::<Vec<_>>();
    let events = COUNTERS as u64 + 1;
    let first = cut(&topic, (0, 1), sums(0)?)?;
    expect(store, "20,000 counters go in at once", first, applied(1, &totals(1, 0), events)).await?;
    let second = cut(&topic, (1, 2), sums(i64::MAX)?)?;
    expect(store, "and again", second, applied(2, &totals(2, i64::MAX), 2 * events)).await?;
    let before = read_counts(store, &topic).await?;
    expect(store, "the last counter refuses them all", cut(&topic, (2, 3), sums(1)?)?, Outcome::Overflow)
        .await?;
    ensure("not one of them was counted", read_counts(store, &topic).await? == before, true)
}

pub(super) async fn many_cuts_are_answered_in_order(store: &impl Store) -> Result<(), Broken> {
    let (one, two) = (topic("many 1")?, topic("many 2")?);
    let like = |delta| Ok::<_, Broken>(vec![sum("a", "like", delta)?]);
    let other =
        |range, delta| Ok::<_, Broken>(Cut { stream: stream("leaf-9")?, ..cut(&one, range, like(delta)?)? });
    let cuts = [
        cut(&one, (0, 1), like(1)?)?,
        cut(&two, (4, 5), like(1)?)?,
        other((0, 5), 10)?,
        cut(&one, (1, 2), like(100)?)?,
        cut(&two, (0, 5), like(7)?)?,
        cut(&one, (1, 2), like(100)?)?,
    ];
    let expected = [
        applied(1, &[1], 1),
        have(0, 0, 0),
        applied(2, &[11], 1),
        applied(3, &[111], 2),
        applied(1, &[7], 1),
        have(2, 2, 3),
    ];
    let answers = merge_all(store, cuts.to_vec()).await?;
    let found: Vec<_> = answers.into_iter().map(whatever_durability).collect();
    ensure("each cut is answered, in order", found.as_slice(), expected.as_slice())?;
    ensure("no cuts have no answers", store.merge(Arc::from([])).await.len(), 0)
}

pub(super) async fn the_last_merged_topic_is_listed_first(store: &impl Store) -> Result<(), Broken> {
    let names = ["listed 1", "listed 2", "listed 3"];
    for name in names {
        merge(store, cut(&topic(name)?, (0, 1), vec![sum("a", "like", 1)?])?).await?;
    }
    let listed = store.topics(2).await?;
    ensure("the last merged come first", listed, vec![topic("listed 3")?, topic("listed 2")?])
}

pub(super) async fn the_registry_is_replaced_only_at_its_revision(store: &impl Store) -> Result<(), Broken> {
    ensure("there is none at first", store.load_registry().await?, None)?;
    ensure("none has no revision", store.save_registry(1, 2, "early".into()).await?, false)?;
    ensure("the first is saved", store.save_registry(0, 7, "one".into()).await?, true)?;
    ensure("the first is saved once", store.save_registry(0, 8, "other".into()).await?, false)?;
    ensure("it is what was saved", store.load_registry().await?, Some((7, "one".into())))?;
    let long = "☃".repeat(100_000);
    ensure("the next replaces it", store.save_registry(7, 1 << 60, long.clone()).await?, true)?;
    ensure("an old revision does not", store.save_registry(7, 9, "late".into()).await?, false)?;
    ensure("it is the last that was saved", store.load_registry().await?, Some((1 << 60, long)))
}

fn table(leaf: &str, sessions: &[(u128, Seq)], keep_ms: u64) -> Result<SessionTable, Broken> {
    let sessions = sessions.iter().map(|(session, last)| (SessionId(*session), *last)).collect();
    Ok(SessionTable { leaf: named(NodeName::new(leaf))?, sessions, keep_ms })
}

pub(super) async fn tables_of_sessions_are_kept(store: &impl Store) -> Result<(), Broken> {
    const MANY: u128 = 10_000;
    let (one, two) = (named(NodeName::new("leaf-a"))?, named(NodeName::new("leaf-b"))?);
    ensure("nothing is known at first", store.ended(&one, SessionId(1)).await?, None)?;
    store.put_sessions(table("leaf-a", &[(1, 5), (u128::MAX, u64::MAX)], 60_000)?).await?;
    let many: Vec<_> = (2..MANY).map(|session| (session, session as u64 + 7)).collect();
    for _ in 0..2 {
        store.put_sessions(table("leaf-a", &many, 60_000)?).await?;
    }
    store.put_sessions(table("leaf-b", &[(1, 9)], 60_000)?).await?;
    let kept = [(1, Some(5)), (u128::MAX, Some(u64::MAX)), (0, None), (MANY - 1, Some(MANY as u64 + 6))];
    for (session, last) in kept {
        ensure("each session is kept as published", store.ended(&one, SessionId(session)).await?, last)?;
    }
    ensure("each leaf has sessions of its own", store.ended(&two, SessionId(1)).await?, Some(9))?;
    store.put_sessions(table("leaf-b", &[], 60_000)?).await?;
    ensure("an empty table takes nothing away", store.ended(&two, SessionId(1)).await?, Some(9))
}

pub(super) async fn a_table_of_sessions_is_dropped_in_time(store: &impl Store) -> Result<(), Broken> {
    let leaf = named(NodeName::new("leaf-c"))?;
    store.put_sessions(table("leaf-c", &[(1, 5)], 50)?).await?;
    let mut found = store.ended(&leaf, SessionId(1)).await?;
    let began = Instant::now();
    while found.is_some() && began.elapsed() < Duration::from_secs(10) {
        tokio::time::sleep(Duration::from_millis(5)).await;
        found = store.ended(&leaf, SessionId(1)).await?;
    }
    ensure("a session is dropped when its time has come", found, None)
}

fn expected_counts(totals: &[(&str, &str, i64)]) -> Result<super::Counts, Broken> {
    let total = |(item, kind, total): &(&str, &str, i64)| {
        let CounterSum { item, kind, .. } = sum(item, kind, 0)?;
        Ok(countree_common::document::CounterTotal { item, kind, total: *total })
    };
    Ok(counts(totals.iter().map(total).collect::<Result<Vec<_>, Broken>>()?))
}
