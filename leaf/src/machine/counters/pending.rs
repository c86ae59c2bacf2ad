//! Keeps sums that wait to be cut, and has later windows join them.

use crate::machine::counters::names::CounterId;
use crate::machine::uplink::progress::WindowId;
use countree_common::limits;
use countree_common::prefetch::prefetch;
use countree_common::stream::Lsn;
use std::collections::VecDeque;

/// The gain of one counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// The counter.
    pub counter: CounterId,
    /// Σ of the deltas.
    pub delta: i64,
}

/// Sums of one topic that wait to be cut.
#[derive(Debug)]
pub(in crate::machine) struct Pending {
    /// The last record that they hold.
    pub(in crate::machine) to: Lsn,
    pub(in crate::machine) sums: Vec<Sum>,
    pub(in crate::machine) events: u64,
    /// At least Σ|δ| of the sums.
    pub(in crate::machine) volume: u64,
    /// The oldest window that they hold; 0 where they were read back from the log.
    pub(in crate::machine) window: WindowId,
}

impl Pending {
    /// Sums over records up to `to`.
    pub(in crate::machine) fn new(to: Lsn, sums: Vec<Sum>, events: u64, window: WindowId) -> Self {
        let volume = sums.iter().map(|s| s.delta.unsigned_abs()).fold(0, u64::saturating_add);
        Self { to, sums, events, volume, window }
    }

    /// Asks where the store stands, and adds nothing.
    pub(in crate::machine) fn probe(at: Lsn) -> Self {
        Self::new(at, Vec::new(), 0, 0)
    }

    /// Whether another window's sums may join.
    fn takes(&self, new: &Self) -> bool {
        self.window > 0
            && self.sums.len() + new.sums.len() <= limits::COUNTERS_PER_CUT
            && self.volume.saturating_add(new.volume) <= limits::UNMERGED_MAX.unsigned_abs()
    }
}

/// The index of each counter among the sums that windows still join. An index is right if the sum there is the
/// counter's; so none has to be cleared when sums are cut.
#[derive(Debug, Default)]
pub(in crate::machine) struct SumIndex(Vec<u32>);

impl SumIndex {
    /// Adds a window's sums to the last that wait, so that a slow root costs memory by counters and not by
    /// windows. `false` when they have to wait apart.
    pub(in crate::machine) fn join(&mut self, queue: &mut VecDeque<Pending>, new: Pending) -> bool {
        prefetch(new.sums.iter().filter_map(|sum| self.0.get(sum.counter as usize).copied()));
        if let Some(last) = queue.back_mut().filter(|last| last.takes(&new)) {
            new.sums.iter().for_each(|sum| self.add(&mut last.sums, *sum));
            last.to = new.to;
            last.events += new.events;
            last.volume += new.volume;
            return true;
        }
        (0..).zip(&new.sums).for_each(|(at, sum)| *self.index(sum.counter) = at);
        queue.push_back(new);
        false
    }

    fn index(&mut self, counter: CounterId) -> &mut u32 {
        let counter = counter as usize;
        if self.0.len() <= counter {
            self.0.resize(counter + 1, 0);
        }
        &mut self.0[counter]
    }

    fn add(&mut self, sums: &mut Vec<Sum>, new: Sum) {
        let index = self.index(new.counter);
        match sums.get_mut(*index as usize) {
            Some(sum) if sum.counter == new.counter => sum.delta += new.delta,
            _ => {
                *index = sums.len() as u32;
                sums.push(new);
            }
        }
    }
}
