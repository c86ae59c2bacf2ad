use super::*;
use crate::machine::documents::Document;
use countree_common::cluster::NodeName;

fn topic(number: u64) -> Topic {
    Topic::new(&format!("t{number}")).unwrap()
}

fn cut(leaf: u64, range: (u64, u64), sums: &[(u64, i64)]) -> Cut {
    let sum = |(item, delta): &(u64, i64)| CounterSum {
        item: Item::new(&format!("i{item}")).unwrap(),
        kind: Kind::new("like").unwrap(),
        delta: *delta,
    };
    let leaf = NodeName::new(&format!("leaf-{leaf}")).unwrap();
    Cut {
        stream: StreamId { leaf, incarnation: 1 },
        topic: topic(0),
        from: range.0,
        to: range.1,
        sums: sums.iter().map(sum).collect(),
        events: sums.len() as u64,
        era: 0,
    }
}

/// Merges cuts one by one, as the store does, and lets the cache learn.
fn judge_all(document: &mut Document, cache: &mut DocumentCache, cuts: &[&Cut]) -> Vec<Outcome> {
    let outcomes: Vec<_> = cuts.iter().map(|cut| document.merge(cut, 3, false)).collect();
    for (cut, outcome) in cuts.iter().zip(&outcomes) {
        if let Outcome::Applied(applied) = outcome {
            cache.learn(cut, applied);
        }
    }
    outcomes
}

/// The totals that the document has after a plan, for counters whose totals the plan does not know.
fn gained(document: &Document, plan: &Plan) -> Vec<i64> {
    plan.gains.iter().map(|(c, gain)| document.totals.get(c).copied().unwrap_or_default() + gain).collect()
}

#[test]
fn a_plan_comes_to_what_judging_each_cut_comes_to() {
    let (mut document, mut cache) = (Document::default(), DocumentCache::default());
    let first = [cut(1, (0, 2), &[(1, 5), (2, 7)]), cut(2, (0, 1), &[(3, 1)])];
    let first: Vec<_> = first.iter().collect();
    assert!(cache.plan(&first, 3).is_none(), "nothing is known yet");
    judge_all(&mut document, &mut cache, &first);
    document.totals.insert((Item::new("i9").unwrap(), Kind::new("like").unwrap()), 100);

    // Known counters, one that nobody told of, a new one; some in both cuts.
    let next = [cut(2, (1, 4), &[(1, -2), (9, 1), (4, 6)]), cut(1, (2, 3), &[(9, 10), (1, 1), (2, 0)])];
    let next: Vec<_> = next.iter().collect();
    let plan = cache.plan(&next, 3).unwrap();
    assert_eq!((plan.base, plan.totals.len(), plan.gains.len()), (document.version, 2, 2));
    let totals = gained(&document, &plan);
    let (version, streams, written) = (plan.version, plan.streams.clone(), plan.totals.clone());
    let planned = plan.into_outcomes(&next, &totals, false).unwrap();
    assert_eq!(planned, judge_all(&mut document, &mut cache, &next));
    assert_eq!(version, document.version);
    assert!(streams.iter().all(|(stream, (_, after))| document.streams[stream] == *after));
    assert!(written.iter().all(|(counter, total)| document.totals[counter] == *total));
}

#[test]
fn what_does_not_fit_is_the_stores_to_judge() {
    let (mut document, mut cache) = (Document::default(), DocumentCache::default());
    judge_all(&mut document, &mut cache, &[&cut(1, (0, 2), &[(1, i64::MAX - 1)])]);
    let fits = cut(1, (2, 3), &[(1, 1)]);
    assert!(cache.plan(&[&fits], 3).is_some());
    let others = [
        cut(1, (1, 3), &[(1, 1)]),
        cut(1, (2, 2), &[]),
        cut(1, (2, 3), &[(1, 2)]),
        cut(1, (2, 3), &[(5, 1 << 50)]),
        cut(7, (0, 1), &[(1, 1)]),
    ];
    for other in &others {
        assert!(cache.plan(&[other], 3).is_none(), "{other:?}");
        assert!(cache.plan(&[&fits, other], 3).is_none(), "{other:?}");
    }
}

#[test]
fn a_merge_of_somebody_else_is_noticed() {
    let (mut document, mut cache) = (Document::default(), DocumentCache::default());
    judge_all(&mut document, &mut cache, &[&cut(1, (0, 1), &[(1, 1), (2, 1)])]);
    document.merge(&cut(2, (0, 1), &[(1, 1)]), 3, false);
    let plan = cache.plan(&[&cut(1, (1, 2), &[(1, 1)])], 3).unwrap();
    assert_ne!(plan.base, document.version, "the store finds it elsewhere");
    judge_all(&mut document, &mut cache, &[&cut(1, (1, 2), &[(1, 1)])]);
    let plan = cache.plan(&[&cut(1, (2, 3), &[(1, 1), (2, 1)])], 3).unwrap();
    assert_eq!((plan.base, plan.totals[0].1), (document.version, 4));
    assert_eq!(plan.gains.len(), 1, "what was known before may be old");
    cache.forget(&topic(0));
    assert!(cache.plan(&[&cut(1, (2, 3), &[(1, 1)])], 3).is_none());
}

#[test]
fn the_cache_is_bounded_and_keeps_what_is_merged() {
    let mut cache = DocumentCache::default();
    let items: Vec<_> = (0..1_000).map(|item| (item, 1)).collect();
    let applied = |number: u64| Applied {
        base: Version { era: 3, number: number - 1 },
        version: Version { era: 3, number },
        totals: vec![1; 1_000],
        events: 1_000,
        durable: false,
    };
    let busy = |to| Cut { topic: topic(u64::MAX), ..cut(1, (to - 1, to), &items) };
    for number in 1..=1_300 {
        cache.learn(&Cut { topic: topic(number), ..cut(1, (0, 1), &items) }, &applied(1));
        cache.learn(&busy(number), &applied(number));
        assert!(cache.plan(&[&busy(number + 1)], 3).is_some());
    }
    let (counted, young, old) = cache.documents.halves();
    let counters = |known: Vec<&CachedDocument>| known.iter().map(|k| k.totals.len()).sum::<usize>();
    let (young, old) = (counters(young), counters(old));
    assert_eq!(young, counted);
    assert!(young + old <= COUNTERS_REMEMBERED);
}
