//! Runs one path of the machines a given number of times, for `check` to count its instructions.
//!
//! `counts PATH TIMES`. What is prepared does not depend on TIMES, so that the difference of two runs is the path
//! alone.

mod leaf;
mod root;

use countree_common::cluster::NodeName;
use countree_common::key::{Counter, NameError};
use countree_common::ring::Ring;
use countree_common::wire::batch::{BatchView, Events};
use std::error::Error;
use std::hint::black_box;
use std::process::ExitCode;

/// Topics that counters are dealt to.
const TOPICS: u32 = 100;

type Work = fn(u32) -> Result<(), Box<dyn Error>>;

/// The paths, and how much of what each walk is made of.
const PATHS: [(&str, u32, &str, Work); 7] = [
    ("decode", leaf::BATCH_EVENTS, "event of a batch, read", decode),
    ("take", leaf::BATCH_EVENTS, "event: read, deduplicated, logged, summed, acked", leaf::take),
    ("names", leaf::BATCH_EVENTS, "event whose name is new to the leaf", leaf::take_new_names),
    ("window", leaf::CHANGED, "changed counter: window ended, cut, sent, answered", leaf::end_windows),
    ("merge", root::SUMS, "counter: queued, judged, merged into a document, answered", root::merge),
    ("queue", root::CUTS, "cut: queued, planned into a batch, answered", root::queue),
    ("ring", RING_ITEMS, "item placed on one of 16 leaves", ring),
];
const RING_ITEMS: u32 = 1_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let path = |name: &str| PATHS.into_iter().find(|(path, ..)| *path == name);
    let [name, times] = arguments.as_slice() else {
        // What `check` reads: the paths and their units.
        for (path, units, of, _) in PATHS {
            println!("{path} {units} {of}");
        }
        return ExitCode::SUCCESS;
    };
    let (Some((.., work)), Ok(times)) = (path(name), times.parse()) else {
        eprintln!("counts: it takes PATH TIMES");
        return ExitCode::from(2);
    };
    match work(times) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("counts: {name}: {e}");
            ExitCode::FAILURE
        }
    }
}

/// A counter by number, with 24 bytes of names.
fn counter(number: u32) -> Result<Counter, NameError> {
    Counter::new(&format!("t-{:04}", number % TOPICS), &format!("item-{number:09}"), "like")
}

/// Yields the same numbers every time (an LCG), low ones more often than high ones.
fn draws(seed: u64, below: u32) -> impl Iterator<Item = u32> {
    let next = |state: &u64| {
        Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407))
    };
    std::iter::successors(Some(seed), next).skip(1).map(move |state| {
        let share = (state >> 11) as f64 / (1u64 << 53) as f64;
        // Cubed: half of the draws fall on an eighth of the numbers.
        (share.powi(3) * f64::from(below)) as u32
    })
}

fn decode(times: u32) -> Result<(), Box<dyn Error>> {
    let body = leaf::Batches::new(1)?.steady(1);
    for _ in 0..times {
        let batch = BatchView::parse(black_box(&body))?;
        black_box(batch.check_events(leaf::COUNTERS as usize)?);
        black_box(Events::new(batch.words).map(|(id, delta)| i64::from(id) ^ delta).fold(0, |a, b| a ^ b));
    }
    Ok(())
}

fn ring(times: u32) -> Result<(), Box<dyn Error>> {
    let leaves = (0..16).map(|n| NodeName::new(&format!("leaf-{n}"))).collect::<Result<Vec<_>, _>>()?;
    let ring = Ring::new(leaves);
    let counters = (0..RING_ITEMS).map(counter).collect::<Result<Vec<_>, _>>()?;
    for _ in 0..times {
        for counter in &counters {
            black_box(ring.item_owner(black_box(&counter.topic), &counter.item));
        }
    }
    Ok(())
}
