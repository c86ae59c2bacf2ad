//! Entries of hash tables that tell names by number.

/// An index entry. The hash spares looking at names that are not the one, and growing without any.
#[derive(Debug, Clone, Copy)]
pub struct Indexed<I> {
    /// Half of the name's hash.
    pub hash: u32,
    /// The name's number.
    pub id: I,
}

impl<I> Indexed<I> {
    /// The hash that the table has it under.
    pub fn spread(&self) -> u64 {
        spread(self.hash)
    }
}

/// The table wants its tag in the upper bits and the place in the lower.
pub fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}
