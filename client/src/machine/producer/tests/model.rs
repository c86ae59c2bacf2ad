//! A small model of a leaf: its log, the durable part of it, and one connection.

use countree_common::key::Counter;
use countree_common::session::{Seq, SessionId};
use countree_common::wire::batch::{BatchView, Events};
use countree_common::wire::producer::{BusyReason, Durability, EventError, EventErrorCode, FromLeaf, ToLeaf};
use std::collections::BTreeMap;

/// Events with this delta make their batch bad.
pub(super) const BAD: i64 = 1 << 40;

#[derive(Debug, Clone)]
enum Record {
    Open(SessionId),
    Batch { session: SessionId, seq: Seq, events: Vec<(Counter, i64)> },
    Seal,
}

#[derive(Debug, Default)]
struct Connection {
    session: Option<SessionId>,
    names: Vec<Counter>,
    /// The session takes nothing more.
    is_refused: bool,
}

/// A leaf. Its log outlives crashes up to `durable`.
#[derive(Debug, Default)]
pub(super) struct Leaf {
    log: Vec<Record>,
    durable: usize,
    sessions: BTreeMap<SessionId, Seq>,
    /// Sessions that a seal has ended.
    ended: BTreeMap<SessionId, Seq>,
    connection: Connection,
    /// Answers that wait for their record to be durable.
    waiting: Vec<(usize, FromLeaf)>,
    pub(super) is_busy: bool,
    pub(super) is_draining: bool,
    pub(super) outbox: Vec<FromLeaf>,
}

impl Leaf {
    pub(super) fn connect(&mut self) {
        self.connection = Connection::default();
        self.waiting.clear();
        self.outbox.clear();
        if self.is_draining {
            self.outbox.push(FromLeaf::Draining);
        }
    }

    pub(super) fn crash(&mut self) {
        self.log.truncate(self.durable);
        self.sessions.clear();
        self.ended.clear();
        for record in &self.log {
            match record {
                Record::Open(session) => drop(self.sessions.insert(*session, 0)),
                Record::Batch { session, seq, .. } => drop(self.sessions.insert(*session, *seq)),
                Record::Seal => self.ended.append(&mut self.sessions),
            }
        }
        self.is_draining = false;
        self.connect();
    }

    /// Takes nothing new until it is started again, and ends every session.
    pub(super) fn drain(&mut self) {
        if !self.is_draining {
            self.is_draining = true;
            self.outbox.push(FromLeaf::Draining);
            self.log.push(Record::Seal);
            self.ended.append(&mut self.sessions);
            if let Some(session) = self.connection.session {
                self.begin(session);
            }
        }
    }

    /// Returns its table of sessions, once it is sealed for good.
    pub(super) fn table(&self) -> Option<&BTreeMap<SessionId, Seq>> {
        (self.is_draining && self.durable == self.log.len()).then_some(&self.ended)
    }

    pub(super) fn expire_all(&mut self) {
        self.sync();
        self.sessions.clear();
        self.ended.clear();
    }

    pub(super) fn sync(&mut self) {
        self.durable = self.log.len();
        let answers = self.waiting.drain(..).map(|(_, answer)| answer);
        self.outbox.extend(answers);
    }

    pub(super) fn message(&mut self, message: &ToLeaf) {
        match message {
            ToLeaf::Open(_) if self.is_draining => {}
            ToLeaf::Open(session) => {
                let is_known = self.sessions.contains_key(session) || self.ended.contains_key(session);
                if !is_known {
                    self.sessions.insert(*session, 0);
                    self.log.push(Record::Open(*session));
                }
                self.begin(*session);
            }
            ToLeaf::Resume(session) => self.begin(*session),
            ToLeaf::FindSessionEnd { .. } => unreachable!("the world answers"),
        }
    }

    /// Answers once all records of the session are durable.
    fn begin(&mut self, session: SessionId) {
        self.connection.session = Some(session);
        self.connection.is_refused = false;
        let open = self.sessions.get(&session).map(|last| FromLeaf::Opened { session, last: *last });
        let ended = self.ended.get(&session).map(|last| FromLeaf::Ended { session, last: *last });
        let answer = open.or(ended).unwrap_or(FromLeaf::Expired(session));
        self.waiting.push((self.log.len(), answer));
    }

    pub(super) fn batch(&mut self, body: &[u8]) {
        let batch = BatchView::parse(body).unwrap();
        let session = self.connection.session.expect("a batch before any session");
        let counted = self.sessions.get(&session).copied();
        if batch.reset_names {
            self.connection.names.clear();
        }
        self.connection.names.extend(batch.counters().unwrap());
        if self.is_draining || self.connection.is_refused || self.ended.contains_key(&session) {
            return;
        }
        let Some(last) = counted else { return self.outbox.push(FromLeaf::Expired(session)) };
        let ack = FromLeaf::Ack { seq: batch.seq, durability: Durability::Disk };
        if batch.seq <= last {
            // Its original may not be durable yet.
            self.waiting.push((self.log.len(), ack));
        } else if batch.seq == last + 1 && !self.is_busy {
            self.count(session, &batch, ack);
        } else {
            let reason = BusyReason::Overload;
            self.outbox.push(FromLeaf::Busy { seq: last + 1, reason, retry_after_ms: 5 });
        }
    }

    fn count(&mut self, session: SessionId, batch: &BatchView<'_>, ack: FromLeaf) {
        batch.check_events(self.connection.names.len()).unwrap();
        let named = |(id, delta): (u32, i64)| (self.connection.names[id as usize].clone(), delta);
        let events: Vec<_> = Events::new(batch.words).map(named).collect();
        if events.iter().any(|(_, delta)| *delta >= BAD) {
            self.connection.is_refused = true;
            let error = EventError { code: EventErrorCode::BadDelta, message: "bad".into(), index: None };
            return self.outbox.push(FromLeaf::Refused { seq: batch.seq, error });
        }
        self.sessions.insert(session, batch.seq);
        self.log.push(Record::Batch { session, seq: batch.seq, events });
        self.waiting.push((self.log.len(), ack));
    }

    /// Returns all events that it counted.
    pub(super) fn counted(&self) -> impl Iterator<Item = &(Counter, i64)> {
        self.log.iter().flat_map(|record| match record {
            Record::Batch { events, .. } => events.as_slice(),
            Record::Open(_) | Record::Seal => &[],
        })
    }
}
