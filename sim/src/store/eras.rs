//! The eras of a store's server processes.

use countree_common::key::Topic;
use std::collections::BTreeMap;

/// Eras that were given, and those that topics were in.
#[derive(Debug)]
pub(super) struct Eras {
    /// The era of the process that serves.
    pub(super) current: u64,
    /// At least as high as every era in the store, and part of a copy of it.
    pub(super) record: u64,
    /// Every era that a server process had.
    pub(super) given: Vec<u64>,
    /// The eras that each topic was in, one after another.
    pub(super) order: BTreeMap<Topic, Vec<u64>>,
}

impl Eras {
    /// The eras of a store that serves for the first time.
    pub(super) fn new() -> Self {
        Self { current: 1, record: 1, given: vec![1], order: BTreeMap::new() }
    }
}
