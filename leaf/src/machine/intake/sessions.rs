//! Remembers the sessions of the log, and the last batch of each.

use crate::log::carried::Carried;
use crate::log::record::SessionRecord;
use countree_common::limits;
use countree_common::session::{Seq, SessionId};
use countree_common::stream::Lsn;
use countree_common::time::WallMs;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

/// A session, as the log knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::machine) struct Session {
    /// Its last batch in the log.
    pub(in crate::machine) last: Seq,
    /// That batch's record; acks wait for it to be on disk. 0 for one of an earlier stream.
    pub(in crate::machine) lsn: Lsn,
    /// The time at which it came.
    pub(in crate::machine) at: WallMs,
    /// A seal has ended it, for good.
    pub(in crate::machine) is_ended: bool,
}

/// The meaning of a batch's number in its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::machine) enum Standing {
    /// The session was never opened, or is forgotten.
    Unknown,
    /// The session has ended: nothing more of it is taken.
    Ended,
    /// In the log already: to be acked once that is durable.
    Repeat,
    /// The next one.
    Next,
    /// One before it is missing.
    Gap,
}

/// Every session that is not forgotten.
#[derive(Debug, Default)]
pub(in crate::machine) struct Sessions {
    sessions: BTreeMap<SessionId, Session>,
}

impl Sessions {
    /// The sessions of the streams before.
    pub(in crate::machine) fn carried(carried: &Carried) -> Self {
        let session = |(id, known): (&SessionId, &SessionRecord)| {
            let SessionRecord { last, at, is_ended } = *known;
            (*id, Session { last, lsn: 0, at, is_ended })
        };
        Self { sessions: carried.sessions.iter().map(session).collect() }
    }

    /// The session, if it is known.
    pub(in crate::machine) fn get(&self, id: SessionId) -> Option<Session> {
        self.sessions.get(&id).copied()
    }

    /// Whether another may be opened.
    pub(in crate::machine) fn has_room(&self) -> bool {
        self.sessions.len() < limits::SESSIONS_PER_LEAF
    }

    /// The standing of batch `seq` of a session.
    pub(in crate::machine) fn standing(&self, id: SessionId, seq: Seq) -> Standing {
        match self.sessions.get(&id) {
            None => Standing::Unknown,
            Some(session) if session.is_ended => Standing::Ended,
            Some(session) if seq <= session.last => Standing::Repeat,
            Some(session) if seq == session.last + 1 => Standing::Next,
            Some(_) => Standing::Gap,
        }
    }

    /// Notes what was logged: the opening (`last` 0) or a batch.
    pub(in crate::machine) fn note(&mut self, id: SessionId, last: Seq, lsn: Lsn, at: WallMs) {
        self.sessions.insert(id, Session { last, lsn, at, is_ended: false });
    }

    /// Ends every session, for good.
    pub(in crate::machine) fn end_all(&mut self) {
        self.sessions.values_mut().for_each(|session| session.is_ended = true);
    }

    /// The last counted batches of sessions that have ended: at most `limit` sessions, those after `after`.
    pub(in crate::machine) fn ended(&self, after: Option<SessionId>, limit: usize) -> Vec<(SessionId, Seq)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let ended = self.sessions.range((from, Bound::Unbounded)).filter(|(_, s)| s.is_ended);
        ended.take(limit).map(|(id, s)| (*id, s.last)).collect()
    }

    /// The last of all sessions that have ended.
    pub(in crate::machine) fn last_ended(&self) -> Option<SessionId> {
        self.sessions.iter().rfind(|(_, s)| s.is_ended).map(|(id, _)| *id)
    }

    /// Forgets sessions that were idle past the horizon, unless they have batches that are not durable yet.
    pub(in crate::machine) fn expire(&mut self, now: WallMs, horizon: Duration, durable: Lsn) {
        self.sessions.retain(|_, s| s.lsn > durable || now.since(s.at) <= horizon);
    }

    /// All sessions, for a checkpoint.
    pub(in crate::machine) fn listed(&self) -> Vec<(SessionId, SessionRecord)> {
        let record = |s: &Session| SessionRecord { last: s.last, at: s.at, is_ended: s.is_ended };
        self.sessions.iter().map(|(id, s)| (*id, record(s))).collect()
    }
}
