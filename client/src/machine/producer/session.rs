//! A numbered session: the batches that one leaf owes an answer for, and those of them that were sent.

use super::batch::Batch;
use countree_common::session::{Seq, SessionId};
use std::collections::VecDeque;
use std::time::Duration;

/// A session that was idle for this long is replaced, well before any leaf may have forgotten it (a leaf's
/// horizon is at least 10 minutes): its batches would be refused and stay in doubt.
pub const SESSION_IDLE: Duration = Duration::from_secs(5 * 60);

/// The error of a leaf that mentions a batch which was never sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the leaf spoke of batch {0}, which was never sent")]
pub struct NeverSent(pub Seq);

/// Batches 1, 2, 3 … for one leaf. A batch gets its number when it is first sent, and keeps it.
#[derive(Debug)]
pub struct Session {
    id: SessionId,
    /// The number of the first unacked batch.
    first: Seq,
    unacked: VecDeque<Batch>,
    /// Number of batches in `unacked` that were sent on this connection and since the last
    /// [`Session::rewind`].
    sent: usize,
    is_opened: bool,
    is_cut: bool,
}

impl Session {
    /// Makes a session that the leaf does not know yet.
    pub fn new(id: SessionId) -> Self {
        Self { id, first: 1, unacked: VecDeque::new(), sent: 0, is_opened: false, is_cut: false }
    }

    /// Returns its id.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Whether the leaf has confirmed that it is in its log. From then on it is resumed, never opened again.
    pub fn is_opened(&self) -> bool {
        self.is_opened
    }

    /// Notes that the leaf has confirmed the session.
    pub fn opened(&mut self) {
        self.is_opened = true;
    }

    /// Whether the leaf takes no new batches in it.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Returns the batches that wait for an answer.
    pub fn unacked(&self) -> &VecDeque<Batch> {
        &self.unacked
    }

    /// Numbers a batch; it is to be sent next.
    pub fn push(&mut self, batch: Batch) {
        self.unacked.push_back(batch);
    }

    /// Returns the next batch to send on this connection, with its number; it counts as sent from now on.
    pub fn next_to_send(&mut self) -> Option<(Seq, &Batch)> {
        let seq = self.first + self.sent as Seq;
        let batch = self.unacked.get(self.sent)?;
        self.sent += 1;
        Some((seq, batch))
    }

    /// Whether a batch waits to be repeated.
    pub fn has_unsent(&self) -> bool {
        self.sent < self.unacked.len()
    }

    /// Repeats all unacked batches, for a new connection.
    pub fn rewind(&mut self) {
        self.sent = 0;
    }

    /// Repeats from `seq`, which the leaf did not take. Ignores batches that are acked already.
    pub fn rewind_to(&mut self, seq: Seq) -> Result<(), NeverSent> {
        let Some(place) = seq.checked_sub(self.first) else { return Ok(()) };
        if place > self.unacked.len() as Seq {
            return self.beyond(seq);
        }
        self.sent = self.sent.min(place as usize);
        Ok(())
    }

    /// Removes the batches up to `seq`: they are counted.
    pub fn ack(&mut self, seq: Seq) -> Result<impl Iterator<Item = Batch> + '_, NeverSent> {
        let count = seq.saturating_add(1).saturating_sub(self.first);
        if count > self.unacked.len() as Seq {
            return Err(NeverSent(seq));
        }
        let count = count as usize;
        self.first += count as Seq;
        self.sent = self.sent.saturating_sub(count);
        Ok(self.unacked.drain(..count))
    }

    /// Removes batch `seq` and those after it, none of which was or will be counted in this session. Those
    /// before it still get their acks; then a new session has to take over.
    pub fn cut(&mut self, seq: Seq) -> Result<VecDeque<Batch>, NeverSent> {
        let Some(place) = seq.checked_sub(self.first) else { return Ok(VecDeque::new()) };
        if place >= self.unacked.len() as Seq {
            return self.beyond(seq).map(|()| VecDeque::new());
        }
        let uncounted = self.unacked.split_off(place as usize);
        self.sent = self.sent.min(self.unacked.len());
        self.is_cut = true;
        Ok(uncounted)
    }

    /// Handles an answer about a batch that is not here: it is ignored if batches were cut off, and an error
    /// otherwise.
    fn beyond(&self, seq: Seq) -> Result<(), NeverSent> {
        if self.is_cut { Ok(()) } else { Err(NeverSent(seq)) }
    }

    /// Ends the session; the batches that were unacked stay in doubt for good.
    pub fn abandon(self) -> VecDeque<Batch> {
        self.unacked
    }
}
