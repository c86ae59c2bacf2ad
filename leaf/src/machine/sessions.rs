//! Which batches of which sessions are in the log already, and which idempotency keys are used up.

use crate::log::record::KeyUse;
use crate::log::recovery::Carried;
use countree_common::limits;
use countree_common::session::{Seq, SessionId};
use countree_common::stream::Lsn;
use countree_common::time::WallMs;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// A session, as the log knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// Its last batch in the log.
    pub last: Seq,
    /// That batch's record; acks wait for it to be on disk. 0 for one of an earlier stream.
    pub lsn: Lsn,
    /// When it came.
    pub at: WallMs,
}

/// What a batch's number says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The session was never opened, or is forgotten.
    Unknown,
    /// In the log already: to be acked once that is durable.
    Repeat,
    /// The next one.
    Next,
    /// One before it is missing.
    Gap,
}

/// Every session that is not forgotten.
#[derive(Debug, Default)]
pub struct Sessions {
    sessions: BTreeMap<SessionId, Session>,
}

impl Sessions {
    /// Those of the streams before.
    pub fn carried(carried: &Carried) -> Self {
        let session =
            |(id, (last, at)): (&SessionId, &(Seq, WallMs))| (*id, Session { last: *last, lsn: 0, at: *at });
        Self { sessions: carried.sessions.iter().map(session).collect() }
    }

    /// The session, if it is known.
    pub fn get(&self, id: SessionId) -> Option<Session> {
        self.sessions.get(&id).copied()
    }

    /// Whether another may be opened.
    pub fn has_room(&self) -> bool {
        self.sessions.len() < limits::SESSIONS_PER_LEAF
    }

    /// What batch `seq` of a session is.
    pub fn standing(&self, id: SessionId, seq: Seq) -> Standing {
        match self.sessions.get(&id) {
            None => Standing::Unknown,
            Some(session) if seq <= session.last => Standing::Repeat,
            Some(session) if seq == session.last + 1 => Standing::Next,
            Some(_) => Standing::Gap,
        }
    }

    /// Notes what was logged: the opening (`last` 0) or a batch.
    pub fn note(&mut self, id: SessionId, last: Seq, lsn: Lsn, at: WallMs) {
        self.sessions.insert(id, Session { last, lsn, at });
    }

    /// Forgets sessions that were idle past the horizon, unless they have batches that are not durable yet.
    pub fn expire(&mut self, now: WallMs, horizon: Duration, durable: Lsn) {
        self.sessions.retain(|_, s| s.lsn > durable || now.since(s.at) <= horizon);
    }

    /// For a checkpoint.
    pub fn listed(&self) -> Vec<(SessionId, Seq, WallMs)> {
        self.sessions.iter().map(|(id, s)| (*id, s.last, s.at)).collect()
    }
}

/// A used idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct UsedKey {
    content: u128,
    lsn: Lsn,
    at: WallMs,
}

/// Every idempotency key that is not forgotten.
#[derive(Debug, Default)]
pub struct Keys {
    used: BTreeMap<u128, UsedKey>,
    by_age: VecDeque<(WallMs, u128)>,
}

impl Keys {
    /// Those of the streams before.
    pub fn carried(carried: &Carried) -> Self {
        let mut keys = Self::default();
        let mut uses: Vec<_> = carried.keys.values().collect();
        uses.sort_by_key(|(used, at)| (*at, used.key));
        uses.into_iter().for_each(|(used, at)| keys.note(*used, 0, *at));
        keys
    }

    /// Whether so many more may be remembered.
    pub fn has_room(&self, more: usize) -> bool {
        self.used.len() + more <= limits::IDEMPOTENCY_KEYS_PER_LEAF
    }

    /// The record that used up the key (0 for one of an earlier stream) and what it was used for.
    pub fn get(&self, key: u128) -> Option<(Lsn, u128)> {
        self.used.get(&key).map(|u| (u.lsn, u.content))
    }

    /// Notes what was logged.
    pub fn note(&mut self, used: KeyUse, lsn: Lsn, at: WallMs) {
        self.used.insert(used.key, UsedKey { content: used.content, lsn, at });
        self.by_age.push_back((at, used.key));
    }

    /// Forgets keys that are older than the horizon.
    pub fn expire(&mut self, now: WallMs, horizon: Duration) {
        while let Some((at, key)) = self.by_age.front().copied()
            && now.since(at) > horizon
        {
            self.by_age.pop_front();
            if self.used.get(&key).is_some_and(|u| u.at == at) {
                self.used.remove(&key);
            }
        }
    }

    /// For a checkpoint.
    pub fn listed(&self) -> Vec<(KeyUse, WallMs)> {
        self.used.iter().map(|(key, u)| (KeyUse { key: *key, content: u.content }, u.at)).collect()
    }
}
