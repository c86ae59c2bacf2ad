//! Holds answers back until the log is on disk up to the records that they rest on.

use crate::machine::ids::{ConnectionId, SubmissionId};
use crate::machine::log_builder::LogBuilder;
use crate::machine::output::{Output, Outputs};
use countree_common::session::{Seq, SessionId};
use countree_common::stream::Lsn;
use countree_common::wire::keys::Remembered;
use countree_common::wire::producer::{Durability, FromLeaf};
use countree_common::wire::rpc::{Counted, Reply};
use std::collections::{BTreeMap, VecDeque};

/// An answer that waits for the disk.
#[derive(Debug)]
pub(in crate::machine) enum Waiting {
    Opened { connection: ConnectionId, session: SessionId, last: Seq },
    Ended { connection: ConnectionId, session: SessionId, last: Seq },
    Ack { connection: ConnectionId, seq: Seq },
    Submission { submission: SubmissionId, counted: Counted },
    Remembered { question: SubmissionId, keys: Vec<Remembered> },
}

/// The answers that wait, in the order of their records.
#[derive(Debug, Default)]
pub(in crate::machine) struct Acks(VecDeque<(Lsn, Waiting)>);

impl Acks {
    /// Whether nothing waits.
    pub(in crate::machine) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sends an answer once the log is on disk up to this record.
    pub(in crate::machine) fn answer_once_durable(
        &mut self,
        lsn: Lsn,
        waiting: Waiting,
        log: &LogBuilder,
        outputs: &mut Outputs,
    ) {
        // What waits goes first: an answer that overtook it could be taken for one to another session.
        if lsn <= log.durable() && self.0.is_empty() {
            answer(waiting, outputs);
        } else {
            // In order, so that the front is always the next to be released.
            self.0.push_back((log.appended(), waiting));
        }
    }

    /// Sends everything that waited for what is on disk now; acks are cumulative, so one per connection.
    pub(in crate::machine) fn release(&mut self, durable: Lsn, outputs: &mut Outputs) {
        let mut acks: BTreeMap<ConnectionId, Seq> = BTreeMap::new();
        while self.0.front().is_some_and(|(lsn, _)| *lsn <= durable) {
            match self.0.pop_front() {
                Some((_, Waiting::Ack { connection, seq })) => {
                    let acked = acks.entry(connection).or_default();
                    *acked = seq.max(*acked);
                }
                Some((_, other)) => {
                    // These tell a sequence number too, and acks behind them belong to another session: acks so far go
                    // first.
                    if let Waiting::Opened { connection, .. } | Waiting::Ended { connection, .. } = other
                        && let Some(seq) = acks.remove(&connection)
                    {
                        answer(Waiting::Ack { connection, seq }, outputs);
                    }
                    answer(other, outputs);
                }
                None => {}
            }
        }
        acks.into_iter().for_each(|(connection, seq)| answer(Waiting::Ack { connection, seq }, outputs));
    }
}

fn answer(waiting: Waiting, outputs: &mut Outputs) {
    match waiting {
        Waiting::Opened { connection, session, last } => {
            outputs.send(connection, FromLeaf::Opened { session, last });
        }
        Waiting::Ended { connection, session, last } => {
            outputs.send(connection, FromLeaf::Ended { session, last });
        }
        Waiting::Ack { connection, seq } => {
            outputs.send(connection, FromLeaf::Ack { seq, durability: Durability::Disk });
        }
        Waiting::Remembered { question, keys } => outputs.answer(question, Reply::Remembered(Ok(keys))),
        Waiting::Submission { submission, counted } => {
            outputs.push(Output::Submitted { submission, result: Ok(counted) });
        }
    }
}
