//! Checks every total against the sent events.

use super::plan::Plan;
use super::zipf::Zipf;
use crate::cluster::endpoints::Endpoints;
use countree_common::document::TopicView;
use countree_common::key::{Counter, Topic};
use countree_common::shell::failure::Failure;
use serde::Serialize;
use std::collections::BTreeMap;
use tokio::task::JoinSet;

/// Topics that are asked for at once.
const READS_AT_ONCE: usize = 8;

/// A counter whose total is not what was sent to it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Difference {
    #[serde(flatten)]
    pub(crate) counter: Counter,
    pub(crate) expected: i64,
    pub(crate) counted: i64,
}

/// The number of events that were sent to each counter, by its number.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Expected {
    pub(crate) totals: Vec<u64>,
}

impl Expected {
    /// Starts empty.
    pub(crate) fn new(plan: &Plan) -> Self {
        Self { totals: vec![0; plan.keys as usize] }
    }

    /// Adds all events of this plan, which are drawn again from its seed.
    pub(crate) fn add(&mut self, plan: &Plan, zipf: &Zipf) {
        for producer in 0..plan.producers {
            for counter in plan.draws(zipf, producer) {
                if let Some(total) = self.totals.get_mut(counter as usize) {
                    *total += 1;
                }
            }
        }
    }

    /// The expected totals of a topic. Counters without events are not in it. Counters are dealt to topics in turn.
    fn of_topic(&self, plan: &Plan, topic: u32) -> Result<Totals, Failure> {
        let mut totals = Totals::new();
        for key in (topic..plan.keys).step_by(plan.topics as usize) {
            let total = self.totals.get(key as usize).copied().unwrap_or(0);
            if total > 0 {
                totals.insert(plan.counter(key)?, i64::try_from(total)?);
            }
        }
        Ok(totals)
    }
}

/// Reads every topic, once all is merged, and returns what is not as expected, counter by counter.
pub(crate) async fn check(
    plan: &Plan,
    expected: &Expected,
    endpoints: &Endpoints,
) -> Result<Vec<Difference>, Failure> {
    let mut differences = Vec::new();
    let mut topics = 0..plan.topics;
    let mut reads = JoinSet::new();
    loop {
        while reads.len() < READS_AT_ONCE
            && let Some(number) = topics.next()
        {
            let (endpoints, topic) = (endpoints.clone(), plan.topic(number)?);
            reads.spawn(
                async move { endpoints.settled_topic(&topic).await.map(|view| (number, topic, view)) },
            );
        }
        let Some(read) = reads.join_next().await else { break };
        let (number, topic, view) = read??;
        differences.extend(compare(&topic, &expected.of_topic(plan, number)?, view.as_ref()));
    }
    differences.sort();
    Ok(differences)
}

type Totals = BTreeMap<Counter, i64>;

/// Compares both ways: counters that are missing, and counters that no event went to.
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
