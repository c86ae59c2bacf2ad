//! Runs one path of the machines a given number of times, for `check` to count its instructions.
//!
//! `counts PATH TIMES`. The preparation does not depend on TIMES, so the difference of two runs is the path alone.

mod counters;
mod leaf;
mod root;

use counters::counter;
use countree_common::cluster::NodeName;
use countree_common::ring::Ring;
use countree_common::wire::batch::{BatchView, Events};
use std::error::Error;
use std::hint::black_box;
use std::process::ExitCode;

type Work = fn(u32) -> Result<(), Box<dyn Error>>;

/// The paths: name, units of work in each run, the unit, and the function.
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
