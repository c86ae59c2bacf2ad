//! The cost of names and numbers on their way: reads batches and cuts, and places items on the ring.
//!
//! `cargo bench -p countree-common --bench wire_and_ring`

#![allow(clippy::unwrap_used, reason = "a measurement")]

use countree_common::cluster::NodeName;
use countree_common::cut::{CounterSum, Cut};
use countree_common::delta::Delta;
use countree_common::key::Counter;
use countree_common::ring::Ring;
use countree_common::stream::StreamId;
use countree_common::wire::batch::{BatchBuilder, BatchView, Events, put_translated};
use countree_common::wire::codec;
use countree_common::wire::uplink::ToRoot;
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};

const EVENTS: u32 = 16_384;
const COUNTERS: u32 = 1_000_000;
const SUMS: u32 = 1_000;

fn main() {
    divan::main();
}

fn counter(number: u32) -> Counter {
    Counter::new(&format!("t-{:04}", number % 100), &format!("item-{number:09}"), "like").unwrap()
}

/// Ids spread over a million, the same ones every time.
fn ids() -> impl Iterator<Item = u32> {
    (0..EVENTS).map(|n| n.wrapping_mul(0x9e37_79b1) % COUNTERS)
}

fn body(build: impl FnOnce(&mut BatchBuilder)) -> Vec<u8> {
    let mut batch = BatchBuilder::default();
    build(&mut batch);
    batch.build(1)
}

fn steady() -> Vec<u8> {
    body(|batch| ids().for_each(|id| batch.event(id, Delta::ONE)))
}

#[divan::bench]
fn events_read(bencher: Bencher<'_, '_>) {
    let body = steady();
    bencher.counter(ItemsCount::new(EVENTS)).bench(|| {
        let batch = BatchView::parse(black_box(&body)).unwrap();
        batch.check_events(COUNTERS as usize).unwrap();
        Events::new(batch.words).map(|(id, delta)| i64::from(id) ^ delta).fold(0, |a, b| a ^ b)
    });
}

#[divan::bench]
fn events_renamed(bencher: Bencher<'_, '_>) {
    let body = steady();
    let batch = BatchView::parse(&body).unwrap();
    let mut translated = Vec::new();
    bencher.counter(ItemsCount::new(EVENTS)).bench_local(|| {
        translated.clear();
        put_translated(black_box(batch.words), |id| id ^ 1, &mut translated);
    });
}

#[divan::bench]
fn names_read(bencher: Bencher<'_, '_>) {
    let names: Vec<_> = (0..EVENTS).map(counter).collect();
    let body = body(|batch| {
        names.iter().for_each(|name| batch.name(name));
        batch.event(0, Delta::ONE);
    });
    bencher
        .counter(ItemsCount::new(EVENTS))
        .bench(|| BatchView::parse(black_box(&body)).unwrap().counter_names().unwrap().len());
}

fn cuts() -> ToRoot {
    let sum = |n| {
        let Counter { item, kind, .. } = counter(n);
        CounterSum { item, kind, delta: 7 }
    };
    ToRoot::Cuts(vec![Cut {
        stream: StreamId { leaf: NodeName::new("leaf-0").unwrap(), incarnation: 3 },
        topic: counter(0).topic,
        from: 1,
        to: 2,
        sums: (0..SUMS).map(sum).collect(),
        events: 7 * u64::from(SUMS),
        era: 0,
    }])
}

#[divan::bench]
fn cut_written(bencher: Bencher<'_, '_>) {
    let cuts = cuts();
    bencher.counter(ItemsCount::new(SUMS)).bench(|| codec::encode(black_box(&cuts)).unwrap());
}

#[divan::bench]
fn cut_read(bencher: Bencher<'_, '_>) {
    let bytes = codec::encode(&cuts()).unwrap();
    bencher.counter(ItemsCount::new(SUMS)).bench(|| codec::decode::<ToRoot>(black_box(&bytes)).unwrap());
}

#[divan::bench(args = [1, 4, 16, 64])]
fn items_placed(bencher: Bencher<'_, '_>, leaves: u32) {
    let ring = Ring::new((0..leaves).map(|n| NodeName::new(&format!("leaf-{n}")).unwrap()));
    let counters: Vec<_> = (0..1_000).map(counter).collect();
    bencher.counter(ItemsCount::new(counters.len())).bench(|| {
        let owners = counters.iter().map(|c| ring.item_owner(&c.topic, &c.item));
        owners.filter(Option::is_some).count()
    });
}
