//! Keeps totals of one topic in blocks of neighbours: the way down the tree costs more than the work at its end, and
//! counters that change together are mostly neighbours.

use super::failure::failed;
use super::layout::place;
use crate::store::StoreError;
use redb::{ReadableTable, Table};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Totals in a block, 8 bytes each.
const BLOCK: u32 = 32;

type Block = [i64; BLOCK as usize];

/// Totals that one cut has raised so far. Nothing is written before [`Raised::write`].
pub(super) struct Raised<'a, 't> {
    totals: &'a mut Table<'t, u64, &'static [u8]>,
    topic_number: u32,
    blocks: BTreeMap<u32, Block>,
}

impl<'a, 't> Raised<'a, 't> {
    pub(super) fn new(totals: &'a mut Table<'t, u64, &'static [u8]>, topic_number: u32) -> Self {
        Self { totals, topic_number, blocks: BTreeMap::new() }
    }

    /// Adds to the total of the counter of that number, which is 0 for a new one; `None` when that is out of range.
    pub(super) fn raise(&mut self, number: u32, delta: i64) -> Result<Option<i64>, StoreError> {
        let block = match self.blocks.entry(number / BLOCK) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let found = self.totals.get(place(self.topic_number, *entry.key())).map_err(failed)?;
                let mut block = [0; BLOCK as usize];
                if let Some(found) = &found {
                    block.iter_mut().zip(totals(found.value())).for_each(|(to, total)| *to = total);
                }
                entry.insert(block)
            }
        };
        let Some(total) = block.get_mut((number % BLOCK) as usize) else { return Ok(None) };
        let raised = total.checked_add(delta);
        *total = raised.unwrap_or(*total);
        Ok(raised)
    }

    /// Writes them, in a topic of `counters` counters.
    pub(super) fn write(self, counters: u32) -> Result<(), StoreError> {
        let mut bytes = Vec::with_capacity(size_of::<Block>());
        for (number, block) in self.blocks {
            let filled = counters.saturating_sub(number * BLOCK).min(BLOCK);
            bytes.clear();
            block
                .iter()
                .take(filled as usize)
                .for_each(|total| bytes.extend_from_slice(&total.to_le_bytes()));
            self.totals.insert(place(self.topic_number, number), bytes.as_slice()).map_err(failed)?;
        }
        Ok(())
    }
}

/// Blocks that hold these totals, by their numbers.
pub(super) fn all(totals: &[i64]) -> impl Iterator<Item = Vec<u8>> {
    let bytes = |block: &[i64]| block.iter().flat_map(|total| total.to_le_bytes()).collect();
    totals.chunks(BLOCK as usize).map(bytes)
}

/// The totals in a block's bytes.
pub(super) fn totals(bytes: &[u8]) -> impl Iterator<Item = i64> {
    bytes.as_chunks().0.iter().map(|total| i64::from_le_bytes(*total))
}
