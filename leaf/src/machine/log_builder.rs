//! Builds the live stream's log: records with their LSNs, in segments that can each be read by themselves.

use crate::log::record::{self, Checkpoint, KEYS_PER_RECORD, Record};
use countree_common::stream::Lsn;
use countree_common::time::Time;
use countree_common::wire::codec::CodecError;
use countree_common::wire::keys::Remembered;
use std::collections::VecDeque;

/// Bytes to be appended to a segment and put on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// The segment, by its first LSN. A new one begins with its first append.
    pub segment: Lsn,
    /// Whole records.
    pub bytes: Vec<u8>,
    /// The last of them.
    pub last: Lsn,
}

/// A segment that takes no more records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ClosedSegment {
    first: Lsn,
    last: Lsn,
    /// The end of the checkpoint behind it, which carries on what it says of sessions and keys.
    carried_at: Lsn,
    /// The time at which it was first seen to be wholly merged.
    merged_at: Option<Time>,
    bytes: u64,
}

/// The live stream's end.
#[derive(Debug)]
pub struct LogBuilder {
    segment_bytes: u64,
    segment: Lsn,
    segment_filled: u64,
    segments: u32,
    closed: VecDeque<ClosedSegment>,
    closed_bytes: u64,
    appends: VecDeque<Append>,
    appended: Lsn,
    durable: Lsn,
    waiting_bytes: u64,
}

impl LogBuilder {
    /// An empty log whose segments have about `segment_bytes`. Begin a segment before the first record.
    pub fn new(segment_bytes: u64) -> Self {
        Self {
            segment_bytes,
            segment: 1,
            segment_filled: 0,
            segments: 0,
            closed: VecDeque::new(),
            closed_bytes: 0,
            appends: VecDeque::new(),
            appended: 0,
            durable: 0,
            waiting_bytes: 0,
        }
    }

    /// The last record written.
    pub fn appended(&self) -> Lsn {
        self.appended
    }

    /// The last record on disk.
    pub fn durable(&self) -> Lsn {
        self.durable
    }

    /// The number of segments that were begun.
    pub fn segments(&self) -> u32 {
        self.segments
    }

    /// Bytes of all segments that are still there.
    pub fn bytes(&self) -> u64 {
        self.closed_bytes + self.segment_filled
    }

    /// Bytes that are not known to be on disk yet.
    pub fn waiting_bytes(&self) -> u64 {
        self.waiting_bytes
    }

    /// Whether the segment is full, so that the next should begin.
    pub fn is_segment_full(&self) -> bool {
        self.segment_filled >= self.segment_bytes
    }

    /// Begins the next segment, with everything that must be known of those before it.
    ///
    /// # Errors
    /// When the checkpoint can't be encoded.
    pub fn begin_segment(
        &mut self,
        mut checkpoint: Checkpoint,
        keys: &[Remembered],
    ) -> Result<(), CodecError> {
        if self.appended > 0 {
            self.closed.push_back(ClosedSegment {
                first: self.segment,
                last: self.appended,
                carried_at: Lsn::MAX,
                merged_at: None,
                bytes: self.segment_filled,
            });
            self.closed_bytes += self.segment_filled;
        }
        self.segment = self.appended + 1;
        self.segment_filled = 0;
        self.segments += 1;
        checkpoint.key_records = keys.len().div_ceil(KEYS_PER_RECORD) as u32;
        self.append(&Record::Checkpoint(checkpoint))?;
        keys.chunks(KEYS_PER_RECORD)
            .try_for_each(|part| self.append(&Record::Keys(part.to_vec())).map(|_| ()))?;
        if let Some(closed) = self.closed.back_mut() {
            closed.carried_at = self.appended;
        }
        Ok(())
    }

    /// Writes, behind the checkpoint, what else has to be known of the segments before.
    ///
    /// # Errors
    /// When it can't be encoded; nothing was written.
    pub fn carry(&mut self, record: &Record<'_>) -> Result<(), CodecError> {
        self.append(record)?;
        if let Some(closed) = self.closed.back_mut() {
            closed.carried_at = self.appended;
        }
        Ok(())
    }

    /// Writes a record; returns its LSN.
    ///
    /// # Errors
    /// When it can't be encoded; nothing was written.
    pub fn append(&mut self, record: &Record<'_>) -> Result<Lsn, CodecError> {
        let (segment, lsn) = (self.segment, self.appended + 1);
        if self.appends.back().is_none_or(|a| a.segment != segment) {
            self.appends.push_back(Append { segment, bytes: Vec::new(), last: 0 });
        }
        let Some(append) = self.appends.back_mut() else { return Ok(lsn) };
        let before = append.bytes.len();
        record::put(record, lsn, self.durable, &mut append.bytes)?;
        append.last = lsn;
        let written = (append.bytes.len() - before) as u64;
        self.segment_filled += written;
        self.waiting_bytes += written;
        self.appended = lsn;
        Ok(lsn)
    }

    /// Takes what is to be written next, oldest first.
    pub fn next_append(&mut self) -> Option<Append> {
        self.appends.pop_front()
    }

    /// An append is on disk.
    pub fn note_durable(&mut self, last: Lsn, bytes: u64) {
        self.durable = self.durable.max(last);
        self.waiting_bytes = self.waiting_bytes.saturating_sub(bytes);
    }

    /// Takes segments that nothing needs any more: wholly merged, with their sessions and keys on disk
    /// elsewhere, and past forgetting, as `is_proven` says of all that was merged by a time.
    pub fn trim(&mut self, now: Time, merged_to: Lsn, is_proven: impl Fn(Time) -> bool) -> Vec<Lsn> {
        for closed in &mut self.closed {
            // A store that went back un-merges it, and its time begins anew.
            let since = closed.merged_at.unwrap_or(now);
            closed.merged_at = (closed.last <= merged_to).then_some(since);
        }
        let mut trimmed = Vec::new();
        while let Some(oldest) = self.closed.front()
            && oldest.carried_at <= self.durable
            && oldest.merged_at.is_some_and(&is_proven)
        {
            self.closed_bytes -= oldest.bytes;
            trimmed.push(oldest.first);
            self.closed.pop_front();
        }
        trimmed
    }
}
