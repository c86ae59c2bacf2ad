//! Deletes segments and streams that nothing needs any more, beside the core: a file system may take long over it.

use super::Disk;
use countree_common::stream::{Lsn, StreamId};
use std::sync::mpsc::Receiver;

/// A part of the log to be deleted.
#[derive(Debug)]
pub(in crate::shell) enum Deletion {
    /// A whole stream.
    Stream(StreamId),
    /// A segment of the stream of this incarnation.
    Segment(u64, Lsn),
}

impl Disk {
    /// Deletes one after another, in the order in which the machine let go of them, until there are no more.
    pub(in crate::shell) fn delete(&self, deletions: &Receiver<Deletion>) {
        for deletion in deletions {
            let result = match &deletion {
                Deletion::Stream(stream) => self.drop_stream(stream),
                Deletion::Segment(incarnation, first) => self.drop_segment(*incarnation, *first),
            };
            if let Err(e) = result {
                tracing::warn!("part of the log that is not needed any more could not be deleted: {e}");
            }
        }
    }
}
