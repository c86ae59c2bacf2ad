//! Coalesces the merges of one topic in one batch into one update: a topic that every leaf counts for costs a
//! broadcast node one message, not one per leaf.

use countree_common::cut::{Applied, CounterSum, Cut};
use countree_common::document::{CounterTotal, Update};
use countree_common::key::{Item, Kind};
use countree_common::limits::COUNTERS_PER_CUT;
use std::collections::HashMap;

/// An update that may still grow.
#[derive(Debug)]
pub(in crate::machine) struct CoalescedUpdate {
    update: Update,
    /// The index of each counter in `update.totals`; brought up to date when a further cut is added.
    places: HashMap<(Item, Kind), usize>,
}

impl CoalescedUpdate {
    /// An update with the changes of one merge.
    pub(in crate::machine) fn new(cut: &Cut, applied: &Applied) -> Self {
        let Applied { base, version, .. } = *applied;
        let totals = changed_totals(cut, applied).collect();
        Self { update: Update { topic: cut.topic.clone(), base, version, totals }, places: HashMap::new() }
    }

    /// Whether a further merge fits into this update: it is the next of the topic, and a frame has room for it.
    pub(in crate::machine) fn is_followed_by(&self, cut: &Cut, applied: &Applied) -> bool {
        self.update.topic == cut.topic
            && self.update.version == applied.base
            && self.update.totals.len() + cut.sums.len() <= COUNTERS_PER_CUT
    }

    /// Adds the next merge of the topic; a counter that changed again gets its latest total.
    pub(in crate::machine) fn add(&mut self, cut: &Cut, applied: &Applied) {
        let totals = &mut self.update.totals;
        for (place, total) in totals.iter().enumerate().skip(self.places.len()) {
            self.places.insert((total.item.clone(), total.kind.clone()), place);
        }
        for total in changed_totals(cut, applied) {
            let place = self.places.get(&(total.item.clone(), total.kind.clone()));
            match place.and_then(|place| totals.get_mut(*place)) {
                Some(known) => *known = total,
                None => totals.push(total),
            }
        }
        self.update.version = applied.version;
    }

    /// The update.
    pub(in crate::machine) fn into_update(self) -> Update {
        self.update
    }
}

fn changed_totals<'a>(cut: &'a Cut, applied: &'a Applied) -> impl Iterator<Item = CounterTotal> + 'a {
    // Events that add up to nothing may be a counter's first: then it is there from now on, at 0.
    let is_news = |(sum, total): &(&CounterSum, &i64)| sum.delta != 0 || **total == 0;
    let changed = cut.sums.iter().zip(&applied.totals).filter(is_news);
    changed.map(|(sum, total)| CounterTotal { item: sum.item.clone(), kind: sum.kind.clone(), total: *total })
}

#[cfg(test)]
mod tests {
    use super::*;
    use countree_common::cluster::NodeName;
    use countree_common::document::Version;
    use countree_common::key::Topic;
    use countree_common::stream::StreamId;

    #[test]
    fn a_counter_whose_first_events_add_up_to_nothing_is_told_at_0_and_one_that_stays_is_not() {
        let sum = |item: &str, delta| CounterSum {
            item: Item::new(item).unwrap(),
            kind: Kind::new("like").unwrap(),
            delta,
        };
        let sums = vec![sum("new", 0), sum("stays", 0), sum("grows", 2)];
        let stream = StreamId { leaf: NodeName::new("leaf-0").unwrap(), incarnation: 1 };
        let topic = Topic::new("t").unwrap();
        let cut = Cut { stream, topic, from: 0, to: 3, sums, events: 5, era: 1 };
        let at = |number| Version { era: 1, number };
        let totals = vec![0, 7, 9];
        let applied = Applied { version: at(2), base: at(1), totals, events: 5, durable: true };
        let told = CoalescedUpdate::new(&cut, &applied).into_update().totals;
        let told: Vec<_> = told.iter().map(|t| (t.item.as_str(), t.total)).collect();
        assert_eq!(told, [("new", 0), ("grows", 9)]);
    }
}
