//! A producer's machine with its names and a clock, driven by hand.

use super::super::*;
use countree_common::cluster::NodeName;
use countree_common::cluster::{ClusterView, Node, Tier};
use countree_common::delta::Delta;
use countree_common::key::Counter;
use countree_common::session::{Seq, SessionId};
use countree_common::time::Time;
use countree_common::wire::batch::{BatchView, Events};
use countree_common::wire::producer::ToLeaf;
use countree_common::wire::producer::{Durability, FromLeaf};
use std::collections::HashMap;
use std::time::Duration;

pub(super) fn name(leaf: &str) -> NodeName {
    NodeName::new(leaf).unwrap()
}

pub(super) fn node(leaf: &str, incarnation: u64) -> Node {
    let quic = format!("10.0.0.1:{}", 1000 + incarnation).parse().unwrap();
    Node { name: name(leaf), tier: Tier::Leaf, quic, http: None, incarnation }
}

pub(super) fn view(epoch: u64, leaves: &[&str]) -> ClusterView {
    ClusterView { epoch, nodes: leaves.iter().map(|leaf| node(leaf, 1)).collect(), ..Default::default() }
}

pub(super) fn ack(seq: Seq) -> FromLeaf {
    FromLeaf::Ack { seq, durability: Durability::Disk }
}

pub(super) const MS: Duration = Duration::from_millis(1);

/// A frame that a leaf was sent, in short form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sent {
    Open(SessionId),
    Resume(SessionId),
    Ask(NodeName, SessionId),
    Batch { seq: Seq, deltas: Vec<i64> },
}

pub(super) struct Fixture {
    pub(super) now: Time,
    pub(super) machine: ProducerMachine,
    names: HashMap<Counter, NameId>,
    /// The open link of each leaf.
    pub(super) links: HashMap<String, LinkId>,
    pub(super) sent: Vec<(String, Sent)>,
    pub(super) resolved: Vec<(u64, Fate)>,
    pub(super) flushed: Vec<FlushId>,
}

impl Fixture {
    pub(super) fn new(options: ProducerOptions, leaves: &[&str]) -> Self {
        let mut fixture = Self {
            now: Time(10_000_000_000),
            machine: ProducerMachine::new(options, 100),
            names: HashMap::new(),
            links: HashMap::new(),
            sent: Vec::new(),
            resolved: Vec::new(),
            flushed: Vec::new(),
        };
        fixture.see(&view(1, leaves));
        fixture
    }

    /// One leaf with an opened session, batches of one event.
    pub(super) fn ready(options: ProducerOptions) -> Self {
        let mut fixture = Self::new(options, &["leaf-0"]);
        fixture.send("c", 1);
        fixture.connect("leaf-0");
        let Some((_, Sent::Open(session))) = fixture.take_sent().pop() else { panic!("no Open") };
        fixture.says("leaf-0", FromLeaf::Opened { session, last: 0 });
        fixture
    }

    pub(super) fn see(&mut self, view: &ClusterView) {
        self.machine.handle_view(self.now, view);
        self.drain();
    }

    pub(super) fn send(&mut self, item: &str, delta: i64) {
        self.send_all(&[(item, delta)]);
    }

    pub(super) fn send_all(&mut self, events: &[(&str, i64)]) {
        let mut intake = Intake { first_queued: self.now, ..Intake::default() };
        for &(item, delta) in events {
            let counter = Counter::new("t", item, "like").unwrap();
            let next = self.names.len() as NameId;
            let id = *self.names.entry(counter.clone()).or_insert_with(|| {
                intake.names.push(counter);
                next
            });
            intake.events.push((id, Delta::new(delta).unwrap()));
        }
        self.machine.handle_intake(self.now, &mut intake);
        self.drain();
    }

    pub(super) fn restart_names(&mut self) {
        self.names.clear();
        self.machine.handle_intake(self.now, &mut Intake { restarts_names: true, ..Intake::default() });
    }

    /// Lets the attempt that is under way succeed.
    pub(super) fn connect(&mut self, leaf: &str) {
        let link = self.links[leaf];
        self.machine.handle_connected(self.now, &name(leaf), link);
        self.drain();
    }

    pub(super) fn lose(&mut self, leaf: &str) {
        let link = self.links[leaf];
        self.machine.handle_lost(self.now, &name(leaf), link, "lost".into());
        self.drain();
    }

    pub(super) fn says(&mut self, leaf: &str, message: FromLeaf) {
        let link = self.links[leaf];
        self.machine.handle_message(self.now, &name(leaf), link, message);
        self.drain();
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.machine.handle_time(self.now);
        self.drain();
    }

    pub(super) fn take_sent(&mut self) -> Vec<(String, Sent)> {
        std::mem::take(&mut self.sent)
    }

    /// Returns the numbers of the batches sent since the last call.
    pub(super) fn batches(&mut self) -> Vec<(Seq, Vec<i64>)> {
        let batch = |(_, sent)| match sent {
            Sent::Batch { seq, deltas } => Some((seq, deltas)),
            _ => None,
        };
        self.take_sent().into_iter().filter_map(batch).collect()
    }

    fn drain(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Connect { leaf, link, .. } => {
                    self.links.insert(leaf.as_str().to_owned(), link);
                }
                Output::Send { leaf, link, frame } => {
                    assert_eq!(self.links.get(leaf.as_str()), Some(&link), "sent on a link that is not open");
                    self.sent.push((leaf.as_str().to_owned(), read(frame)));
                }
                Output::Disconnect { leaf, .. } => {
                    self.links.remove(leaf.as_str());
                }
                Output::Resolved(resolved) => self.resolved.push((resolved.events, resolved.fate)),
                Output::Flushed(flush) => self.flushed.push(flush),
            }
        }
    }
}

fn read(frame: Outgoing) -> Sent {
    match frame {
        Outgoing::Message(ToLeaf::Open(session)) => Sent::Open(session),
        Outgoing::Message(ToLeaf::Resume(session)) => Sent::Resume(session),
        Outgoing::Message(ToLeaf::FindSessionEnd { leaf, session }) => Sent::Ask(leaf, session),
        Outgoing::Batch(body) => {
            let batch = BatchView::parse(&body).unwrap();
            Sent::Batch { seq: batch.seq, deltas: Events::new(batch.words).map(|(_, delta)| delta).collect() }
        }
    }
}

/// Options for batches of one event, sent without lingering.
pub(super) fn single() -> ProducerOptions {
    ProducerOptions { batch_events: 1, in_flight_batches: 100, ..ProducerOptions::default() }
}
