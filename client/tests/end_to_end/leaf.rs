//! A leaf that counts in memory and can lose acks and connections on purpose.

use countree_common::key::Counter;
use countree_common::session::{Seq, SessionId};
use countree_common::shell::quic::StreamError;
use countree_common::shell::server::Greeted;
use countree_common::wire::batch::{BatchView, Events};
use countree_common::wire::frame::{Frame, FrameKind};
use countree_common::wire::producer::{Durability, FromLeaf, ToLeaf};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

/// The leaf's disk, which outlives the node.
#[derive(Default)]
pub(crate) struct Book {
    sessions: HashMap<SessionId, Seq>,
    pub(crate) totals: BTreeMap<Counter, i64>,
    pub(crate) events: u64,
    received: u64,
    /// The connection breaks after each batch whose number is a multiple of this: the batch is counted, and
    /// not acked.
    pub(crate) break_every: Option<u64>,
    pub(crate) breaks: u64,
    /// Counts batches without acking any.
    pub(crate) is_silent: bool,
}

pub(crate) type SharedBook = Arc<Mutex<Book>>;

enum Answer {
    Nothing,
    Say(FromLeaf),
    Break,
}

impl Book {
    fn message(&mut self, message: &ToLeaf, session: &mut Option<SessionId>) -> FromLeaf {
        let id = match message {
            ToLeaf::Open(id) => {
                self.sessions.entry(*id).or_insert(0);
                *id
            }
            ToLeaf::Resume(id) => *id,
            ToLeaf::FindSessionEnd { session, .. } => {
                return FromLeaf::SessionEnd { session: *session, last: None };
            }
        };
        *session = Some(id);
        match self.sessions.get(&id) {
            Some(&last) => FromLeaf::Opened { session: id, last },
            None => FromLeaf::Expired(id),
        }
    }

    fn batch(&mut self, batch: &BatchView<'_>, session: SessionId, names: &[Counter]) -> Answer {
        batch.check_events(names.len()).unwrap();
        let last = self.sessions.get_mut(&session).unwrap();
        assert!(batch.seq <= *last + 1, "a gap: {} after {last}", batch.seq);
        if batch.seq == *last + 1 {
            *last = batch.seq;
            for (id, delta) in Events::new(batch.words) {
                *self.totals.entry(names[id as usize].clone()).or_default() += delta;
                self.events += 1;
            }
        }
        self.received += 1;
        if self.break_every.is_some_and(|every| self.received.is_multiple_of(every)) {
            self.breaks += 1;
            return Answer::Break;
        }
        if self.is_silent {
            return Answer::Nothing;
        }
        Answer::Say(FromLeaf::Ack { seq: batch.seq, durability: Durability::Disk })
    }
}

/// Holds one producer's conversation.
pub(crate) async fn produce(mut greeted: Greeted, book: SharedBook) -> Result<(), StreamError> {
    let (mut session, mut names) = (None, Vec::new());
    while let Some(frame) = greeted.receiver.next().await? {
        match answer(&frame, &book, &mut session, &mut names) {
            Answer::Nothing => {}
            Answer::Say(message) => greeted.sender.send(FrameKind::Message, &message).await?,
            Answer::Break => {
                greeted.connection.close(1u32.into(), b"broken on purpose");
                return Ok(());
            }
        }
    }
    Ok(())
}

fn answer(
    frame: &Frame,
    book: &SharedBook,
    session: &mut Option<SessionId>,
    names: &mut Vec<Counter>,
) -> Answer {
    let mut book = book.lock().unwrap();
    if frame.kind == FrameKind::Message {
        return Answer::Say(book.message(&frame.decode(FrameKind::Message).unwrap(), session));
    }
    let batch = BatchView::parse(&frame.body).unwrap();
    if batch.reset_names {
        names.clear();
    }
    names.extend(batch.counters().unwrap());
    book.batch(&batch, session.unwrap(), names)
}
