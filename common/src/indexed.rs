//! Entries of hash tables that refer to names by number.

/// An index entry. With the hash in it, most other names are skipped without a look at them, and the table
/// grows without hashing names again.
#[derive(Debug, Clone, Copy)]
pub struct Indexed<I> {
    /// Half of the name's hash.
    pub hash: u32,
    /// The name's number.
    pub id: I,
}

impl<I> Indexed<I> {
    /// Its hash in the table.
    pub fn spread(&self) -> u64 {
        spread(self.hash)
    }
}

/// Widens a hash: tables take a tag from its upper bits and the place from its lower bits.
pub fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}
