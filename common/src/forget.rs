//! Forgetting a topic: its totals and names go, and the positions of leaf streams stay, so that nothing that was merged
//! before comes in again. What is left is called a tombstone. Events that are merged later count from 0.

use crate::document::Version;
use serde::{Deserialize, Serialize};

/// What a store did with a topic that is to be forgotten, if its document stands at a certain version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ForgetOutcome {
    /// Nothing was ever counted in it.
    Unknown,
    /// Its document stands at this version and not at the one that was named. Nothing changed.
    Moved(Version),
    /// There are no totals and no names any more.
    Forgotten(Tombstone),
}

/// A topic that is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// The tombstone's version: of an era of its own, and higher than any that the topic had.
    pub version: Version,
    /// How many of the topic's events are forgotten, those of earlier times included.
    pub events: u64,
    /// Whether there was nothing left to forget: it is the same tombstone as before.
    pub was_gone: bool,
    /// Whether that has reached stable storage; a store that goes back in time may bring back the topic otherwise.
    pub durable: bool,
}
