//! Whether every total is what it must be.

use crate::figures::Difference;
use crate::http::Site;
use crate::plan::Plan;
use crate::zipf::Zipf;
use countree_common::document::TopicView;
use countree_common::key::{Counter, Topic};
use countree_common::shell::failure::Failure;
use std::collections::BTreeMap;
use tokio::task::JoinSet;

/// Topics that are asked for at once.
const READS_AT_ONCE: u32 = 32;

/// Reads every topic and returns what is not as the plan has it, counter by counter.
pub(super) async fn check(plan: &Plan, zipf: &Zipf, site: &Site) -> Result<Vec<Difference>, Failure> {
    let expected = expected(plan, zipf)?;
    let mut differences = Vec::new();
    let mut topics = (0..plan.topics).map(|number| plan.topic(number));
    let mut reads = JoinSet::new();
    loop {
        while reads.len() < READS_AT_ONCE as usize
            && let Some(topic) = topics.next().transpose()?
        {
            let site = site.clone();
            reads.spawn(async move { site.topic(&topic).await.map(|view| (topic, view)) });
        }
        let Some(read) = reads.join_next().await else { break };
        let (topic, view) = read??;
        let nothing = BTreeMap::new();
        differences.extend(compare(&topic, expected.get(&topic).unwrap_or(&nothing), view.as_ref()));
    }
    differences.sort();
    Ok(differences)
}

type Totals = BTreeMap<Counter, i64>;

/// What each topic must hold: counters that got no event are not in it.
fn expected(plan: &Plan, zipf: &Zipf) -> Result<BTreeMap<Topic, Totals>, Failure> {
    let mut topics: BTreeMap<Topic, Totals> = BTreeMap::new();
    for (counter, total) in plan.counters()?.into_iter().zip(plan.totals(zipf)) {
        if total > 0 {
            topics.entry(counter.topic.clone()).or_default().insert(counter, i64::try_from(total)?);
        }
    }
    Ok(topics)
}

/// Both ways: what is missing, and what nobody sent.
fn compare(topic: &Topic, expected: &Totals, view: Option<&TopicView>) -> Vec<Difference> {
    let mut counted = Totals::new();
    for (item, kinds) in view.iter().flat_map(|view| &view.counts) {
        for (kind, &total) in kinds {
            counted.insert(Counter { topic: topic.clone(), item: item.clone(), kind: kind.clone() }, total);
        }
    }
    let all: BTreeMap<_, _> = expected.keys().chain(counted.keys()).map(|counter| (counter, ())).collect();
    let total = |of: &Totals, counter: &Counter| of.get(counter).copied().unwrap_or(0);
    all.into_keys()
        .map(|counter| Difference {
            counter: counter.clone(),
            expected: total(expected, counter),
            counted: total(&counted, counter),
        })
        .filter(|difference| difference.expected != difference.counted)
        .collect()
}

#[cfg(test)]
#[path = "exactness_tests.rs"]
mod tests;
