//! Random cuts, given to a store and to the plain model side by side.

use super::{Broken, Cut, Store, ensure, stream, sum, topic, whatever_durability};
use crate::machine::documents::Document;
use countree_common::key::Topic;
use countree_common::stream::StreamId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Few names, so that cuts meet.
const TOPICS: u64 = 3;
const STREAMS: u64 = 3;
const COUNTERS: u64 = 6;

/// Xorshift64*: the same numbers for a seed on every machine.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 16) % end
    }

    /// A delta of any size, small ones and the ends of the range among them.
    fn delta(&mut self) -> i64 {
        let any = self.next() as i64;
        match self.below(8) {
            0 => i64::MAX,
            1 => i64::MIN,
            2 => 0,
            _ => any >> self.below(64),
        }
    }
}

/// Merges random cuts, a few at a time, and compares every answer and in the end every document with the
/// model's. The same seed gives the same cuts; stores that are not fresh need a new `name`.
///
/// # Errors
/// The first difference.
pub async fn compare_with_model(
    store: &impl Store,
    name: &str,
    seed: u64,
    calls: usize,
) -> Result<(), Broken> {
    let era = store.served_in().await?;
    let mut random = Random::new(seed);
    let mut model = BTreeMap::<Topic, Document>::new();
    for _ in 0..calls {
        let mut cuts = Vec::new();
        for _ in 0..1 + random.below(6) {
            cuts.push(random_cut(&mut random, name, &model, era)?);
        }
        let expected: Vec<_> = cuts.iter().map(|cut| merge_into(&mut model, cut, era)).collect();
        let answers = store.merge(Arc::from(cuts)).await;
        let found = answers.into_iter().map(|a| a.map(whatever_durability)).collect::<Result<Vec<_>, _>>()?;
        ensure("the store answers as the model does", found, expected)?;
    }
    for (topic, document) in &model {
        let mut found = store.read(topic).await?;
        if let Some(found) = &mut found {
            found.totals.sort_by(|a, b| (&a.item, &a.kind).cmp(&(&b.item, &b.kind)));
        }
        let expected = (document.version.number > 0).then(|| document.snapshot(topic, era));
        ensure("the store holds what the model holds", found, expected)?;
        let whole = (document.version.number > 0).then(|| document.clone());
        ensure("and where each stream stands", store.document(topic).await?, whole)?;
    }
    Ok(())
}

fn merge_into(model: &mut BTreeMap<Topic, Document>, cut: &Cut, served_in: u64) -> super::Outcome {
    model.entry(cut.topic.clone()).or_default().merge(cut, served_in, false)
}

fn random_cut(
    random: &mut Random,
    name: &str,
    model: &BTreeMap<Topic, Document>,
    served_in: u64,
) -> Result<Cut, Broken> {
    let topic = topic(&format!("{name} {}", random.below(TOPICS)))?;
    let stream =
        StreamId { incarnation: 1 + random.below(2), ..stream(&format!("leaf-{}", random.below(STREAMS)))? };
    let known = model.get(&topic).and_then(|d| d.streams.get(&stream)).map_or(0, |p| p.lsn);
    // Mostly where the document stands; now and then a repeat, a gap or a probe.
    let from = if random.below(5) == 0 { known.saturating_sub(2) + random.below(5) } else { known };
    let to = from + random.below(4);
    if from == to {
        return Ok(Cut {
            stream,
            topic,
            from,
            to,
            sums: Vec::new(),
            events: 0,
            era: served_in + random.below(3),
        });
    }
    let mut counters = BTreeSet::new();
    (0..random.below(COUNTERS)).for_each(|_| {
        counters.insert(random.below(COUNTERS));
    });
    let sums = counters
        .iter()
        .map(|c| sum(&format!("item {}", c / 2), ["a:b", "%"][(c % 2) as usize], random.delta()));
    let sums = sums.collect::<Result<Vec<_>, _>>()?;
    Ok(Cut {
        stream,
        topic,
        from,
        to,
        sums,
        events: random.below(1 << 40),
        era: served_in + random.below(40) / 13,
    })
}
