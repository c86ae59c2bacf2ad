//! Measures a root's work for a counter of a cut before the store is asked: judging, and planning by the cached
//! document.
//!
//! `cargo bench -p countree-root --bench planning`

#![allow(clippy::unwrap_used, reason = "a measurement")]

use countree_common::cluster::NodeName;
use countree_common::cut::{Applied, CounterSum, Cut};
use countree_common::document::Version;
use countree_common::key::{Item, Kind, Topic};
use countree_common::stream::StreamId;
use countree_root::machine::documents::cache::DocumentCache;
use countree_root::machine::documents::check;
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};

const SUMS: u32 = 1_000;

fn main() {
    divan::main();
}

/// A cut of the first record of a stream, or of the second.
fn cut(from: u64, sums: u32) -> Cut {
    let sum = |n| CounterSum {
        item: Item::new(&format!("item-{n:09}")).unwrap(),
        kind: Kind::new("like").unwrap(),
        delta: 1,
    };
    Cut {
        stream: StreamId { leaf: NodeName::new("leaf-0").unwrap(), incarnation: 1 },
        topic: Topic::new("topic").unwrap(),
        from,
        to: from + 1,
        sums: (0..sums).map(sum).collect(),
        events: u64::from(sums),
        era: 0,
    }
}

#[divan::bench]
fn cut_checked(bencher: Bencher<'_, '_>) {
    let cut = cut(0, SUMS);
    bencher.counter(ItemsCount::new(SUMS)).bench(|| check(black_box(&cut)).unwrap());
}

/// With all of the topic's counters remembered.
#[divan::bench(args = [1_000, 100_000])]
fn cut_planned(bencher: Bencher<'_, '_>, remembered: u32) {
    let (first, second) = (cut(0, remembered), cut(1, SUMS));
    let mut memory = DocumentCache::default();
    memory.learn(
        &first,
        &Applied {
            version: Version { era: 0, number: 1 },
            base: Version::default(),
            totals: vec![1; remembered as usize],
            events: first.events,
            durable: true,
        },
    );
    bencher.counter(ItemsCount::new(SUMS)).bench(|| memory.plan(&[black_box(&second)], 0).unwrap());
}
