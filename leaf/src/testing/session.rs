//! A producer that keeps to the protocol: numbered batches, go-back-N, and resuming on a new connection.

use super::{Names, Rig};
use crate::machine::ConnectionId;
use countree_common::key::{Counter, Topic};
use countree_common::session::{Seq, SessionId};
use countree_common::wire::producer::{FromLeaf, ToLeaf};
use std::collections::VecDeque;

enum Frame {
    Message(ToLeaf),
    Body(Vec<u8>),
}

pub(crate) struct Producer {
    session: SessionId,
    pub(crate) connection: Option<ConnectionId>,
    connections: u64,
    /// Whether the leaf has ever answered `Opened`.
    is_open: bool,
    /// Whether it has on this connection.
    is_resumed: bool,
    names: Names,
    frames: VecDeque<Frame>,
    batches: Vec<Vec<(Counter, i64)>>,
    /// Batches that sessions before this one have counted.
    before: u64,
    next: Seq,
    acked: Seq,
}

impl Producer {
    pub(crate) fn new(number: u64) -> Self {
        Self {
            session: SessionId(u128::from(number)),
            connection: None,
            connections: 0,
            is_open: false,
            is_resumed: false,
            names: Names::default(),
            frames: VecDeque::new(),
            batches: Vec::new(),
            before: 0,
            next: 1,
            acked: 0,
        }
    }

    pub(crate) fn write(&mut self, events: Vec<(Counter, i64)>) {
        self.batches.push(events);
    }

    pub(crate) fn events(&self) -> impl Iterator<Item = &(Counter, i64)> {
        self.batches.iter().flatten()
    }

    pub(crate) fn is_done(&self) -> bool {
        self.acked == self.batches.len() as u64
    }

    /// Puts the next batch on its way.
    pub(crate) fn send_next(&mut self) {
        if self.is_resumed
            && let Some(events) = self.batches.get((self.before + self.next) as usize - 1)
        {
            self.frames.push_back(Frame::Body(self.names.batch(self.next, events)));
            self.next += 1;
        }
    }

    /// The leaf takes the next frame; without a connection there will be one.
    pub(crate) fn deliver(&mut self, rig: &mut Rig) {
        let Some(connection) = self.connection else { return self.reconnect(rig) };
        match self.frames.pop_front() {
            Some(Frame::Message(message)) => rig.machine.handle_message(rig.now, connection, message),
            Some(Frame::Body(body)) => rig.machine.handle_batch(rig.now, connection, &body),
            None => {}
        }
    }

    pub(crate) fn lose_connection(&mut self) {
        self.connection = None;
        self.is_resumed = false;
        self.frames.clear();
        self.names = Names::default();
    }

    pub(crate) fn reconnect(&mut self, rig: &mut Rig) {
        if let Some(connection) = self.connection {
            rig.machine.handle_disconnected(connection);
        }
        self.lose_connection();
        self.connections += 1;
        let connection = ConnectionId((self.session.0 as u64) << 32 | self.connections);
        self.connection = Some(connection);
        rig.machine.handle_connected(connection);
        self.ask();
    }

    fn ask(&mut self) {
        let message = if self.is_open { ToLeaf::Resume(self.session) } else { ToLeaf::Open(self.session) };
        self.frames.push_back(Frame::Message(message));
    }

    /// Sends and delivers all that there is.
    pub(crate) fn catch_up(&mut self, rig: &mut Rig) {
        while self.is_resumed && self.before + self.next <= self.batches.len() as u64 {
            self.send_next();
        }
        self.deliver(rig);
        while !self.frames.is_empty() {
            self.deliver(rig);
        }
    }

    /// Takes a message; returns the topics of the events that it acks.
    pub(crate) fn hear(&mut self, message: FromLeaf) -> Vec<Topic> {
        match message {
            FromLeaf::Opened { session, last } => {
                assert_eq!(session, self.session);
                self.is_open = true;
                self.is_resumed = true;
                self.next = last + 1;
                self.ack(last)
            }
            FromLeaf::Ack { seq, .. } => self.ack(seq),
            FromLeaf::Busy { seq: 0, .. } => {
                self.ask();
                Vec::new()
            }
            FromLeaf::Busy { seq, .. } => {
                self.next = seq;
                Vec::new()
            }
            FromLeaf::Ended { session, last } if session == self.session => {
                let acked = self.ack(last);
                self.before = self.acked;
                self.session = SessionId(session.0 + 1_000);
                self.is_open = false;
                self.lose_connection();
                acked
            }
            FromLeaf::View(_) | FromLeaf::Draining | FromLeaf::Ended { .. } => Vec::new(),
            other => panic!("a sound producer was sent {other:?}"),
        }
    }

    fn ack(&mut self, seq: Seq) -> Vec<Topic> {
        let acked = self.before + seq;
        assert!(acked >= self.acked, "acked {} before, and {acked} now", self.acked);
        let batches = &self.batches[self.acked as usize..acked as usize];
        self.acked = acked;
        batches.iter().flatten().map(|(counter, _)| counter.topic.clone()).collect()
    }
}
