//! Measures what the leaf's table costs per event, per name, and per changed counter.
//!
//! `cargo bench -p countree-leaf --bench table`

#![allow(clippy::unwrap_used, reason = "a measurement")]

use countree_common::key::{Counter, CounterName};
use countree_leaf::machine::counters::table::Table;
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};

const EVENTS: u32 = 16_384;

fn main() {
    divan::main();
}

fn counter(number: u32) -> Counter {
    Counter::new(&format!("t-{:04}", number % 100), &format!("item-{number:09}"), "like").unwrap()
}

fn table(counters: u32) -> Table {
    let mut table = Table::default();
    (0..counters).for_each(|n| {
        table.intern(&counter(n));
    });
    table
}

/// Events of other ids with each call, spread over all counters.
fn events(counters: u32, round: &mut u32) -> Vec<(u32, i64)> {
    *round += EVENTS;
    (*round..*round + EVENTS).map(|n| (n.wrapping_mul(0x9e37_79b1) % counters, 1)).collect()
}

#[divan::bench(args = [10_000, 1_000_000, 10_000_000])]
fn events_summed(bencher: Bencher<'_, '_>, counters: u32) {
    let (mut table, mut round) = (table(counters), 0);
    bencher
        .counter(ItemsCount::new(EVENTS))
        .with_inputs(|| events(counters, &mut round))
        .bench_local_refs(|events| table.add(events.iter().copied(), u64::from(EVENTS)));
}

#[divan::bench(args = [10_000, 1_000_000])]
fn windows_taken(bencher: Bencher<'_, '_>, counters: u32) {
    let (mut table, mut round) = (table(counters), 0);
    bencher.counter(ItemsCount::new(EVENTS)).bench_local(|| {
        table.add(events(counters, &mut round).into_iter(), u64::from(EVENTS));
        black_box(table.take_window()).events
    });
}

/// Names that the table has already, as a second producer brings them.
fn names(counters: u32) -> Vec<Counter> {
    (0..EVENTS).map(|n| counter(n.wrapping_mul(0x9e37_79b1) % counters)).collect()
}

#[divan::bench(args = [10_000, 1_000_000])]
fn names_found(bencher: Bencher<'_, '_>, counters: u32) {
    let (mut table, names) = (table(counters), names(counters));
    let names: Vec<_> = names.iter().map(CounterName::from).collect();
    bencher.counter(ItemsCount::new(EVENTS)).bench_local(|| {
        let mut ids = 0;
        table.intern_all(&names, |id| ids ^= id);
        ids
    });
}

/// Looks names up one by one, to show the gain of looking many up together.
#[divan::bench(args = [10_000, 1_000_000])]
fn names_found_one_by_one(bencher: Bencher<'_, '_>, counters: u32) {
    let (mut table, names) = (table(counters), names(counters));
    bencher
        .counter(ItemsCount::new(EVENTS))
        .bench_local(|| names.iter().map(|name| table.intern(name)).fold(0, |a, b| a ^ b));
}
