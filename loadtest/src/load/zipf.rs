//! Draws counters by Zipf's law, in the time of two table look-ups at most (the alias method).

/// A place in the table: its own rank, or with the rest of the chance another one.
#[derive(Debug, Clone, Copy)]
struct Slot {
    /// The chance of the slot's own rank, in 2^-32; `u32::MAX` with itself as alias stands for certainty.
    own: u32,
    alias: u32,
}

/// Ranks 0 to n − 1, where rank r has a share in proportion to 1/(r + 1)^s.
#[derive(Debug)]
pub(crate) struct Zipf {
    slots: Vec<Slot>,
}

impl Zipf {
    /// A table for `ranks` (at least 1) ranks. An exponent of 0 makes them equal.
    pub(crate) fn new(ranks: u32, exponent: f64) -> Self {
        let shares: Vec<f64> = shares(ranks, exponent).collect();
        let mut chances: Vec<f64> = shares.iter().map(|share| share * f64::from(ranks)).collect();
        let mut slots: Vec<Slot> = (0..ranks).map(|rank| Slot { own: u32::MAX, alias: rank }).collect();
        let (mut poor, mut rich): (Vec<u32>, Vec<u32>) =
            (0..ranks).partition(|&rank| chances[rank as usize] < 1.0);
        // Each poor slot is filled up by a rich rank, which is poorer by that much. What rounding
        // leaves over at the end is full but for the last digits.
        while let (Some(low), Some(&high)) = (poor.pop(), rich.last()) {
            let own = chances[low as usize];
            slots[low as usize] = Slot { own: (own * 2f64.powi(32)) as u32, alias: high };
            chances[high as usize] -= 1.0 - own;
            if chances[high as usize] < 1.0 {
                rich.pop();
                poor.push(high);
            }
        }
        Self { slots }
    }

    /// The rank that 64 random bits stand for.
    pub(crate) fn rank(&self, bits: u64) -> u32 {
        // One half of the bits picks a slot, to one part in 2^32; the other one picks a side of it.
        let index = (((bits >> 32) * self.slots.len() as u64) >> 32) as u32;
        let Some(slot) = self.slots.get(index as usize) else { return index };
        // Guessing the side would be wrong half of the time, and hold up the draws after it.
        std::hint::select_unpredictable(bits as u32 > slot.own, slot.alias, index)
    }
}

/// The share of each rank; together 1.
pub(crate) fn shares(ranks: u32, exponent: f64) -> impl Iterator<Item = f64> {
    let weight = move |rank: u32| (f64::from(rank) + 1.0).powf(-exponent);
    // The smallest first, so that rounding does not swallow them.
    let sum: f64 = (0..ranks).rev().map(weight).sum();
    (0..ranks).map(move |rank| weight(rank) / sum)
}

#[cfg(test)]
#[path = "zipf_tests.rs"]
mod tests;
