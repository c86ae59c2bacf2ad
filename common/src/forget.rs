//! Forgetting a topic removes its totals and names. The positions of leaf streams stay, so that nothing that
//! was merged before comes in again: they are a tombstone. Events that are merged later count from 0.

use crate::document::Version;
use serde::{Deserialize, Serialize};

/// The result of forgetting a topic at a named version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ForgetOutcome {
    /// No event was ever counted in it.
    Unknown,
    /// Its document is at this version and not at the named one. Nothing changed.
    Moved(Version),
    /// Its totals and names are gone.
    Forgotten(Tombstone),
}

/// A topic that is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// The tombstone's version: of an era of its own, and higher than any that the topic had.
    pub version: Version,
    /// Number of the topic's events that are forgotten, now and before.
    pub events: u64,
    /// Whether there was nothing left to forget: it is the same tombstone as before.
    pub was_gone: bool,
    /// Whether that has reached stable storage; a store that goes back in time may bring back the topic
    /// otherwise.
    pub durable: bool,
}
