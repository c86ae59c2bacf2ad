//! Runs a root's queue before a store that holds its documents in memory.

use crate::counters::counter;
use countree_common::cluster::NodeName;
use countree_common::cut::{CounterSum, Cut};
use countree_common::key::Topic;
use countree_common::stream::StreamId;
use countree_root::machine::ConnectionId;
use countree_root::machine::documents::Document;
use countree_root::machine::merge::queue::MergeQueue;
use std::collections::HashMap;
use std::error::Error;
use std::hint::black_box;

/// Sums of the cut of [`merge`].
pub(crate) const SUMS: u32 = 4_000;
/// Cuts of [`queue`], each of a topic of its own.
pub(crate) const CUTS: u32 = 1_000;
const LEAF: ConnectionId = ConnectionId(1);

fn cut(topic: &Topic, sums: u32, from: u64) -> Result<Cut, Box<dyn Error>> {
    let sum = |number| {
        let counter = counter(number)?;
        Ok(CounterSum { item: counter.item, kind: counter.kind, delta: 1 })
    };
    Ok(Cut {
        stream: StreamId { leaf: NodeName::new("leaf-0")?, incarnation: 1 },
        topic: topic.clone(),
        from,
        to: from + 1,
        sums: (0..sums).map(sum).collect::<Result<_, Box<dyn Error>>>()?,
        events: u64::from(sums),
        era: 0,
    })
}

/// One topic's cuts, one after another, through the queue into its document.
pub(crate) fn merge(times: u32) -> Result<(), Box<dyn Error>> {
    let topic = Topic::new("t")?;
    work(times, &[cut(&topic, SUMS, 0)?])
}

/// Many topics' cuts with a counter each.
pub(crate) fn queue(times: u32) -> Result<(), Box<dyn Error>> {
    let cuts = (0..CUTS).map(|number| cut(&Topic::new(&format!("topic-{number}"))?, 1, 0));
    work(times, &cuts.collect::<Result<Vec<_>, _>>()?)
}

fn work(times: u32, cuts: &[Cut]) -> Result<(), Box<dyn Error>> {
    let (mut queue, mut documents) = (MergeQueue::default(), HashMap::<Topic, Document>::new());
    for time in 0..u64::from(times) {
        for cut in cuts {
            let next = Cut { from: time, to: time + 1, ..cut.clone() };
            if queue.push(LEAF, next)?.is_some() {
                return Err("the queue is full".into());
            }
        }
        while let Some((batch, cuts)) = queue.next_batch(|_| true) {
            let merged = cuts.iter().map(|cut| match documents.get_mut(&cut.topic) {
                Some(document) => Some(document.merge(cut, 0, true)),
                None => Some(documents.entry(cut.topic.clone()).or_default().merge(cut, 0, true)),
            });
            let outcomes: Vec<_> = merged.collect();
            black_box(queue.handle_merged(batch, &outcomes));
        }
    }
    Ok(())
}
