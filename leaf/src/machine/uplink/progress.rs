//! Tells how far a stream's windows have been merged, which the watermark and the trimming of the log rest on.

use countree_common::stream::Lsn;
use countree_common::time::WallMs;
use std::collections::BTreeMap;

/// Counts a stream's windows. Window 0 stands for all that was before the first.
pub type WindowId = u64;

#[derive(Debug, Clone, Copy)]
struct ClosedWindow {
    /// Everything acked before this is in this window or in an earlier one.
    at: WallMs,
    /// Its last record.
    to: Lsn,
}

/// The windows that are not wholly merged.
#[derive(Debug, Default)]
pub struct Progress {
    closed: BTreeMap<WindowId, ClosedWindow>,
    outstanding: BTreeMap<WindowId, u64>,
    merged_to: Lsn,
    complete_to: WallMs,
}

impl Progress {
    /// A window has closed. Pieces of it are to be held before this or never.
    pub fn close(&mut self, window: WindowId, at: WallMs, to: Lsn) {
        self.closed.insert(window, ClosedWindow { at, to });
        self.advance();
    }

    /// A sum whose oldest part is of this window waits to be merged.
    pub fn hold(&mut self, window: WindowId) {
        *self.outstanding.entry(window).or_default() += 1;
    }

    /// A sum that was held has been merged.
    pub fn release(&mut self, window: WindowId) {
        if let Some(count) = self.outstanding.get_mut(&window) {
            *count -= 1;
            if *count == 0 {
                self.outstanding.remove(&window);
            }
        }
        self.advance();
    }

    fn advance(&mut self) {
        let first_held = self.outstanding.keys().next().copied().unwrap_or(WindowId::MAX);
        while let Some(entry) = self.closed.first_entry() {
            if *entry.key() >= first_held {
                break;
            }
            let ClosedWindow { at, to } = entry.remove();
            self.merged_to = self.merged_to.max(to);
            self.complete_to = self.complete_to.max(at);
        }
    }

    /// Whether nothing waits to be merged.
    pub fn is_clear(&self) -> bool {
        self.outstanding.is_empty()
    }

    /// Every record up to here is merged.
    pub fn merged_to(&self) -> Lsn {
        if self.outstanding.contains_key(&0) { 0 } else { self.merged_to }
    }

    /// Everything acked up to this time is merged; `None` while something is held that has no time.
    pub fn complete_to(&self) -> Option<WallMs> {
        (!self.outstanding.contains_key(&0)).then_some(self.complete_to)
    }
}
