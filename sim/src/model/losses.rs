//! Losses that the operator or the hardware caused: leaf folders, adopted leaves, and emptied stores. They excuse
//! events that were acked and are missing.

use super::event::Event;
use countree_common::time::Time;

/// The losses of a run.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    /// Leaves whose folders were lost or replaced, and when.
    folders: Vec<(usize, Time)>,
    /// Leaves that were adopted from another store, and when.
    adopted: Vec<(usize, Time)>,
    /// The time at which the store was last emptied.
    emptied_at: Option<Time>,
    is_acknowledged: bool,
}

impl Losses {
    /// Notes that a leaf's folder is lost, or replaced by an older copy.
    pub(crate) fn note_folder(&mut self, leaf: usize, now: Time) {
        self.folders.push((leaf, now));
    }

    /// Whether any leaf's folder was lost.
    pub(crate) fn has_folders(&self) -> bool {
        !self.folders.is_empty()
    }

    /// Notes that a leaf has counted into another store until now.
    pub(crate) fn note_adopted(&mut self, leaf: usize, now: Time) {
        self.adopted.push((leaf, now));
    }

    /// Whether any leaf was adopted.
    pub(crate) fn has_adopted(&self) -> bool {
        !self.adopted.is_empty()
    }

    /// Notes that the store was emptied.
    pub(crate) fn note_emptied(&mut self, now: Time) {
        self.emptied_at = Some(now);
    }

    /// Whether the store was ever emptied.
    pub(crate) fn has_emptied_store(&self) -> bool {
        self.emptied_at.is_some()
    }

    /// Notes that the operator has acknowledged that the store was emptied.
    pub(crate) fn note_acknowledged(&mut self) {
        self.is_acknowledged = true;
    }

    /// Whether the operator has acknowledged that.
    pub(crate) fn is_acknowledged(&self) -> bool {
        self.is_acknowledged
    }

    /// Whether an event may be lost with one of them. The leaf that took an HTTP client's event is not known: any may
    /// have.
    pub(crate) fn may_include(&self, event: &Event) -> bool {
        let was_there = |leaf: &usize| event.leaf.is_none_or(|of| of == *leaf);
        let was_merged = self.emptied_at.is_some_and(|at| event.at <= at);
        let mut logs = self.folders.iter().chain(&self.adopted);
        was_merged || logs.any(|(leaf, at)| was_there(leaf) && event.at <= *at)
    }

    /// The time of the last one: a reset that was asked for before it may be undone.
    pub(crate) fn last_at(&self) -> Option<Time> {
        let logs = self.folders.iter().chain(&self.adopted).map(|(_, at)| *at);
        logs.chain(self.emptied_at).max()
    }
}
