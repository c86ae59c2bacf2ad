//! Runs a leaf with a producer, a disk without delay, and a root that merges everything.

use crate::counters::{counter, draws};
use countree_common::cluster::{ClusterView, KeyHistory, Node, NodeName, Tier};
use countree_common::cut::{Applied, Cut, Outcome};
use countree_common::delta::Delta;
use countree_common::document::Version;
use countree_common::key::Topic;
use countree_common::session::SessionId;
use countree_common::time::{Now, Time, WallMs};
use countree_common::wire::batch::BatchBuilder;
use countree_common::wire::codec;
use countree_common::wire::producer::{FromLeaf, ToLeaf};
use countree_common::wire::uplink::{CutOutcome, ToRoot};
use countree_leaf::log::carried::Carried;
use countree_leaf::machine::{ConnectionId, LeafConfig, LeafMachine, Output};
use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::time::Duration;

/// Events of a batch.
pub(crate) const BATCH_EVENTS: u32 = 16_384;
/// Counters that the producer knows.
pub(crate) const COUNTERS: u32 = 30_000;
/// Counters that change in each of the windows of [`end_windows`].
pub(crate) const CHANGED: u32 = 8_000;
/// Batches that [`take_new_names`] has at most.
const NEW_NAMES: u32 = 8;
/// Different batches that are sent in turn.
const BATCHES: u64 = 8;
const WINDOW: Duration = Duration::from_millis(100);
const PRODUCER: ConnectionId = ConnectionId(1);

/// Batches of one producer, without their numbers.
pub(crate) struct Batches {
    defining: Vec<BatchParts>,
    steady: Vec<BatchParts>,
}

type BatchParts = Box<dyn Fn() -> BatchBuilder>;

impl Batches {
    /// Makes this many different batches, over [`COUNTERS`] that are all defined first.
    pub(crate) fn new(count: u64) -> Result<Self, Box<dyn Error>> {
        let defining = (0..COUNTERS).step_by(BATCH_EVENTS as usize).map(|first| {
            let names = (first..COUNTERS.min(first + BATCH_EVENTS)).map(|n| Ok((n, counter(n)?)));
            let names = names.collect::<Result<Vec<_>, Box<dyn Error>>>()?;
            let parts: BatchParts = Box::new(move || {
                let mut batch = BatchBuilder::default();
                names.iter().for_each(|(_, name)| batch.name(name));
                names.iter().for_each(|(id, _)| batch.event(*id, Delta::ONE));
                batch
            });
            Ok(parts)
        });
        let steady = (0..count).map(|seed| {
            let ids: Vec<u32> = draws(seed, COUNTERS).take(BATCH_EVENTS as usize).collect();
            events_of(ids)
        });
        Ok(Self { defining: defining.collect::<Result<_, Box<dyn Error>>>()?, steady: steady.collect() })
    }

    /// One that defines nothing.
    pub(crate) fn steady(&self, seq: u64) -> Vec<u8> {
        let parts = self.steady.get(seq as usize % self.steady.len().max(1));
        parts.map(|parts| parts().build(seq)).unwrap_or_default()
    }
}

fn events_of(ids: Vec<u32>) -> BatchParts {
    Box::new(move || {
        let mut batch = BatchBuilder::default();
        ids.iter().for_each(|id| batch.event(*id, Delta::ONE));
        batch
    })
}

struct Rig {
    leaf: LeafMachine,
    now: Now,
    seq: u64,
    acked: u64,
    /// Versions and events of topic documents.
    documents: HashMap<Topic, (u64, u64)>,
}

impl Rig {
    fn new() -> Result<Self, Box<dyn Error>> {
        let (name, root) = (NodeName::new("leaf-0")?, NodeName::new("root-0")?);
        let config = LeafConfig {
            leaf: name.clone(),
            window: WINDOW,
            horizon: Duration::from_secs(600),
            retention: Duration::from_secs(10),
            log_bytes: 1 << 40,
            segment_bytes: 1 << 40,
            capacity: 2_000_000,
        };
        let now = Now { mono: Time(1_000), wall: WallMs(1_000) };
        let mut leaf = LeafMachine::new(config, 1, &Carried::default(), BTreeMap::new(), now)?;
        let quic = ([127, 0, 0, 1], 1).into();
        let node =
            |name: &NodeName, tier| Node { name: name.clone(), tier, quic, http: None, incarnation: 1 };
        // A leaf takes no events before the view lists it.
        let nodes = vec![node(&name, Tier::Leaf), node(&root, Tier::Root)];
        let keys = KeyHistory { owners: vec![name], ..KeyHistory::default() };
        leaf.handle_view(ClusterView { epoch: 1, nodes, keys, ..ClusterView::default() });
        leaf.handle_root_connected(now, root);
        leaf.handle_connected(PRODUCER);
        leaf.handle_message(now, PRODUCER, ToLeaf::Open(SessionId(1)));
        let mut rig = Self { leaf, now, seq: 0, acked: 0, documents: HashMap::new() };
        rig.sync()?;
        Ok(rig)
    }

    /// Defines every counter, and lets all of it be merged.
    fn define(&mut self, batches: &Batches) -> Result<(), Box<dyn Error>> {
        for parts in &batches.defining {
            self.send(parts().build(self.seq + 1))?;
        }
        self.end_window()
    }

    fn send(&mut self, mut body: Vec<u8>) -> Result<(), Box<dyn Error>> {
        self.seq += 1;
        if let Some(number) = body.get_mut(..8) {
            number.copy_from_slice(&self.seq.to_le_bytes());
        }
        self.leaf.handle_batch(self.now, PRODUCER, &body);
        self.sync()
    }

    /// Reports everything written as durable.
    fn sync(&mut self) -> Result<(), Box<dyn Error>> {
        while let Some(append) = self.leaf.next_append() {
            self.leaf.handle_durable(self.now, append.last, append.bytes.len() as u64);
        }
        self.outputs()
    }

    fn end_window(&mut self) -> Result<(), Box<dyn Error>> {
        self.now.mono = self.now.mono + WINDOW;
        self.now.wall = self.now.wall + WINDOW;
        self.leaf.handle_time(self.now);
        self.sync()
    }

    fn outputs(&mut self) -> Result<(), Box<dyn Error>> {
        let mut answers = Vec::new();
        while let Some(output) = self.leaf.poll_output() {
            match output {
                Output::Cuts { message, .. } => {
                    let ToRoot::Cuts(cuts) = codec::decode(&message)? else { continue };
                    answers.extend(cuts.into_iter().map(|cut: Cut| self.answer(cut)));
                }
                Output::Send { message: FromLeaf::Ack { .. }, .. } => self.acked += 1,
                Output::Close { message, .. } | Output::Alarm(message) => return Err(message.into()),
                _ => {}
            }
        }
        if !answers.is_empty() {
            self.leaf.handle_outcomes(self.now, answers);
            self.sync()?;
        }
        Ok(())
    }

    fn answer(&mut self, cut: Cut) -> CutOutcome {
        let (number, events) = self.documents.entry(cut.topic.clone()).or_default();
        *number += 1;
        *events += cut.events;
        let version = |number| Version { era: 0, number };
        let applied = Applied {
            version: version(*number),
            base: version(*number - 1),
            totals: vec![1; cut.sums.len()],
            events: *events,
            durable: true,
        };
        let Cut { stream, topic, from, to, .. } = cut;
        CutOutcome { stream, topic, from, to, outcome: Some(Outcome::Applied(applied)) }
    }

    /// Checks that batches were acked: the count means nothing otherwise.
    fn all_acked(&self) -> Result<(), Box<dyn Error>> {
        if self.acked > 0 { Ok(()) } else { Err("no batch was acked".into()) }
    }
}

/// Steady batches, one after another, each put on disk and acked; windows don't end.
pub(crate) fn take(times: u32) -> Result<(), Box<dyn Error>> {
    let (batches, mut rig) = (Batches::new(BATCHES)?, Rig::new()?);
    rig.define(&batches)?;
    let bodies: Vec<_> = (0..BATCHES).map(|seq| batches.steady(seq)).collect();
    for body in bodies.iter().cycle().take(times as usize) {
        rig.send(body.clone())?;
    }
    rig.all_acked()
}

/// Batches of which every event has a name that the leaf has not met, at most [`NEW_NAMES`].
pub(crate) fn take_new_names(times: u32) -> Result<(), Box<dyn Error>> {
    let mut rig = Rig::new()?;
    // Making them is not the leaf's work, so that it must not grow with `times`.
    let bodies = (0..NEW_NAMES).map(|time| {
        let mut batch = BatchBuilder::default();
        for id in time * BATCH_EVENTS..(time + 1) * BATCH_EVENTS {
            batch.name(&counter(id)?);
            batch.event(id, Delta::ONE);
        }
        Ok(batch.build(0))
    });
    let bodies = bodies.collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    if times > NEW_NAMES {
        return Err(format!("at most {NEW_NAMES} times").into());
    }
    for body in bodies.into_iter().take(times as usize) {
        rig.send(body)?;
    }
    rig.all_acked()
}

/// Windows in which the same counters change, cut by topic, sent, merged and answered.
pub(crate) fn end_windows(times: u32) -> Result<(), Box<dyn Error>> {
    let (batches, mut rig) = (Batches::new(1)?, Rig::new()?);
    rig.define(&batches)?;
    let body = events_of((0..CHANGED).collect())().build(0);
    for _ in 0..times {
        rig.send(body.clone())?;
        rig.end_window()?;
    }
    rig.all_acked()
}
