//! The task that owns the root machine. It never waits for a peer or the store: what takes time runs
//! beside it and reports back.

use super::errands::{Errands, Outcomes};
use super::gauges::Gauges;
use super::health::Work;
use super::outbox::{Outbox, Overflowing};
use super::registry::RegistryHandle;
use super::standing::Stand;
use crate::machine::{BatchId, ConnectionId, LeafRefused, Output, ReadId, RootMachine, StoreSilent};
use crate::store::{AnyStore, Store, StoreError};
use countree_common::cluster::{ClusterView, NodeName};
use countree_common::cut::{Cut, Outcome};
use countree_common::document::{Snapshot, Version};
use countree_common::key::Topic;
use countree_common::shell::clock::Clock;
use countree_common::shell::shutdown::Shutdown;
use countree_common::shell::tasks;
use countree_common::store::StoreId;
use countree_common::time::Time;
use countree_common::wire::frame::{self, FrameKind};
use countree_common::wire::hello::RefusalCode;
use countree_common::wire::{publish, uplink};
use serde::Serialize;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

/// Messages of peers that wait for the core; above it QUIC flow control holds the peers back.
const INPUTS_QUEUED: usize = 64;
const TICK: Duration = Duration::from_millis(50);
/// The store is asked this often whether another process serves by now.
const ERA_GAP: Duration = Duration::from_secs(1);
/// On the way out, merges have this long to come back.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

/// What peers do.
#[derive(Debug)]
pub(super) enum Input {
    LeafOpened(ConnectionId, NodeName, Outbox),
    Leaf(ConnectionId, uplink::ToRoot),
    LeafClosed(ConnectionId),
    BroadcastOpened(ConnectionId, Outbox),
    Broadcast(ConnectionId, publish::ToRoot),
    BroadcastClosed(ConnectionId),
    /// Cuts that are not a leaf's.
    Errand(Vec<Cut>, Outcomes),
}

/// What was begun here and has come to an end. There are only as many as the machine has under way.
#[derive(Debug)]
pub(super) enum Finished {
    Merge(BatchId, Vec<Result<Outcome, StoreError>>),
    Read(ReadId, Result<Option<Snapshot>, StoreError>),
    SnapshotSent(ConnectionId),
    Forgotten(Topic, Version),
    ServedIn(Result<u64, StoreError>),
}

/// What the core follows.
struct Told {
    view: watch::Receiver<Arc<ClusterView>>,
    confirmed: watch::Receiver<Time>,
    /// Why the store is left alone, if it is.
    fence: watch::Receiver<Option<String>>,
    /// The stores whose leaves may send cuts.
    stores: watch::Receiver<BTreeSet<StoreId>>,
}

/// How peers' tasks reach the core.
#[derive(Debug, Clone)]
pub(super) struct CoreHandle {
    pub(super) inputs: mpsc::Sender<Input>,
    pub(super) finished: mpsc::UnboundedSender<Finished>,
}

/// The core and its surroundings.
pub(super) struct Core {
    machine: RootMachine,
    clock: Clock,
    store: Arc<AnyStore>,
    gauges: Arc<Gauges>,
    leaves: HashMap<ConnectionId, Outbox>,
    broadcasts: HashMap<ConnectionId, Outbox>,
    errands: Errands,
    finished: mpsc::UnboundedSender<Finished>,
    merging: usize,
}

/// Starts the core; it ends after `shutdown`, when the merges under way have come back.
pub(super) fn start(
    store: Arc<AnyStore>,
    gauges: Arc<Gauges>,
    registry: &RegistryHandle,
    stand: &Stand,
    shutdown: Shutdown,
) -> (CoreHandle, tokio::task::JoinHandle<()>) {
    let (inputs, input_receiver) = mpsc::channel(INPUTS_QUEUED);
    let (finished, finished_receiver) = mpsc::unbounded_channel();
    let clock = registry.clock();
    let core = Core {
        machine: RootMachine::new(clock.now()),
        clock,
        store,
        gauges,
        leaves: HashMap::new(),
        broadcasts: HashMap::new(),
        errands: Errands::default(),
        finished: finished.clone(),
        merging: 0,
    };
    let (view, confirmed) = (registry.view(), registry.confirmed());
    let told = Told { view, confirmed, fence: stand.fence(), stores: stand.stores() };
    let task = tasks::spawn(core.run(input_receiver, finished_receiver, told, shutdown));
    (CoreHandle { inputs, finished }, task)
}

impl Core {
    async fn run(
        mut self,
        mut inputs: mpsc::Receiver<Input>,
        mut finished: mpsc::UnboundedReceiver<Finished>,
        told: Told,
        shutdown: Shutdown,
    ) {
        let Told { mut view, mut confirmed, mut fence, mut stores } = told;
        self.machine.handle_stores(stores.borrow_and_update().clone());
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        self.ask_era(Duration::ZERO);
        loop {
            tokio::select! {
                Some(finished) = finished.recv() => self.handle_finished(finished),
                Some(input) = inputs.recv() => self.handle_input(input),
                Ok(()) = view.changed() => {
                    let view = view.borrow_and_update().clone();
                    self.machine.handle_view(&view);
                }
                Ok(()) = confirmed.changed() => {
                    // The view is read after it, so that it is the one confirmed or a later one.
                    let asked = *confirmed.borrow_and_update();
                    let view = view.borrow_and_update().clone();
                    self.machine.handle_view(&view);
                    self.machine.handle_confirmation(asked);
                }
                Ok(()) = stores.changed() => {
                    let stores = stores.borrow_and_update().clone();
                    self.machine.handle_stores(stores);
                }
                Ok(()) = fence.changed() => {
                    let is_fenced = fence.borrow_and_update().is_some();
                    self.machine.handle_fence(is_fenced);
                }
                _ = tick.tick() => self.machine.handle_tick(self.clock.now().mono),
                () = shutdown.begun() => break,
            }
            self.drain();
        }
        let drained = async {
            while self.merging > 0 || self.machine.queued_cuts() > 0 {
                let Some(finished) = finished.recv().await else { return };
                self.handle_finished(finished);
                self.drain();
            }
        };
        if tokio::time::timeout(DRAIN_TIMEOUT, drained).await.is_err() {
            tracing::warn!("the store has not answered every merge; the leaves will repeat them");
        }
    }

    fn handle_input(&mut self, input: Input) {
        match input {
            Input::LeafOpened(connection, leaf, outbox) => {
                self.leaves.insert(connection, outbox);
                self.machine.handle_leaf_opened(connection, leaf);
            }
            Input::Leaf(connection, message) => {
                if let Err(e) = self.machine.handle_leaf(connection, message) {
                    let code = match &e {
                        LeafRefused::Unsound(_) => RefusalCode::Malformed,
                        LeafRefused::Foreign(_) => RefusalCode::WrongCluster,
                    };
                    self.end_leaf(connection, code, e.to_string());
                }
            }
            Input::LeafClosed(connection) => self.close_leaf(connection),
            Input::BroadcastOpened(connection, outbox) => {
                self.broadcasts.insert(connection, outbox);
                if let Err(e) = self.machine.handle_broadcast_opened(connection) {
                    self.end_broadcast(connection, e.to_string());
                }
            }
            Input::Broadcast(connection, message) => {
                if let Err(e) = self.machine.handle_broadcast(connection, message) {
                    self.end_broadcast(connection, e.to_string());
                }
            }
            Input::BroadcastClosed(connection) => self.close_broadcast(connection),
            Input::Errand(cuts, reply) => self.begin_errand(cuts, reply),
        }
    }

    fn handle_finished(&mut self, finished: Finished) {
        match finished {
            Finished::Merge(batch, answers) => {
                self.merging -= 1;
                self.machine.handle_merged(batch, answers.into_iter().map(Result::ok).collect());
            }
            Finished::Read(read, result) => {
                let result = result.map_err(|_| StoreSilent);
                self.machine.handle_read(read, result, self.clock.now().mono);
            }
            Finished::SnapshotSent(connection) => self.machine.handle_snapshot_sent(connection),
            Finished::Forgotten(topic, version) => self.machine.handle_forgotten(&topic, version),
            Finished::ServedIn(result) => {
                match result {
                    Ok(era) => self.machine.handle_served_in(era),
                    Err(e) => tracing::debug!("the store does not say who serves: {e}"),
                }
                self.ask_era(ERA_GAP);
            }
        }
    }

    fn ask_era(&self, after: Duration) {
        let (store, finished) = (self.store.clone(), self.finished.clone());
        tasks::spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(after) => {}
                () = finished.closed() => return,
            }
            let _ = finished.send(Finished::ServedIn(store.served_in().await));
        });
    }

    fn begin_errand(&mut self, cuts: Vec<Cut>, reply: Outcomes) {
        let Some(name) = Errands::name() else { return };
        let errand = self.errands.begin(cuts.len(), reply);
        self.machine.handle_leaf_opened(errand, name);
        if let Err(e) = self.machine.handle_leaf(errand, uplink::ToRoot::Cuts(cuts)) {
            tracing::error!("an errand can't be done: {e}");
            self.errands.refuse(errand);
            self.machine.handle_leaf_closed(errand);
        }
    }

    fn end_leaf(&mut self, connection: ConnectionId, code: RefusalCode, reason: String) {
        tracing::warn!("a leaf is sent away: {reason}");
        if let Some(outbox) = self.leaves.remove(&connection) {
            outbox.refuse(code, reason);
        }
        self.close_leaf(connection);
    }

    fn close_leaf(&mut self, connection: ConnectionId) {
        self.leaves.remove(&connection);
        self.machine.handle_leaf_closed(connection);
    }

    fn end_broadcast(&mut self, connection: ConnectionId, reason: String) {
        tracing::warn!("a broadcast node is sent away: {reason}");
        if let Some(outbox) = self.broadcasts.remove(&connection) {
            outbox.refuse(RefusalCode::Unavailable, reason);
        }
        self.close_broadcast(connection);
    }

    fn close_broadcast(&mut self, connection: ConnectionId) {
        self.broadcasts.remove(&connection);
        self.machine.handle_broadcast_closed(connection);
    }

    /// Does what the machine has decided.
    fn drain(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Merge { batch, cuts } => self.merge(batch, cuts),
                Output::Read { read, topic } => self.read(read, topic),
                Output::Answer { connection, message } if self.errands.is_one(connection) => {
                    if self.errands.answered(connection, message) {
                        self.machine.handle_leaf_closed(connection);
                    }
                }
                Output::Answer { connection, message } => {
                    let sent = self.leaves.get(&connection).map(|outbox| send(outbox, &message));
                    if let Some(Err(Overflowing)) = sent {
                        self.gauges.cut_off();
                        self.close_leaf(connection);
                    }
                }
                Output::Publish { connections, message } => self.publish(connections, &message),
                Output::Snapshot { connection, snapshot } => {
                    let sent = self.broadcasts.get(&connection).map(|outbox| outbox.snapshot(snapshot));
                    if let Some(Err(Overflowing)) = sent {
                        self.close_broadcast(connection);
                    }
                }
            }
        }
        self.gauges.queued_cuts.store(self.machine.queued_cuts(), Relaxed);
        self.gauges.followed_topics.store(self.machine.followed_topics(), Relaxed);
        self.gauges.watermark.store(self.machine.watermark().0, Relaxed);
        self.gauges.leaves.store(self.leaves.len(), Relaxed);
        self.gauges.broadcasts.store(self.broadcasts.len(), Relaxed);
    }

    fn publish(&mut self, connections: Vec<ConnectionId>, message: &publish::FromRoot) {
        let frame = match frame::message(FrameKind::Message, message) {
            Ok(frame) => frame,
            Err(e) => return self.unsendable(&connections, &e),
        };
        for connection in connections {
            let sent = self.broadcasts.get(&connection).map(|outbox| outbox.frame(frame.clone()));
            if let Some(Err(Overflowing)) = sent {
                self.gauges.cut_off();
                self.close_broadcast(connection);
            }
        }
    }

    /// A message that fits no frame would leave a gap: those who miss it start anew, with snapshots.
    fn unsendable(&mut self, connections: &[ConnectionId], reason: &dyn std::fmt::Display) {
        tracing::error!("an update can't be sent: {reason}");
        connections.iter().for_each(|connection| self.close_broadcast(*connection));
    }

    fn merge(&mut self, batch: BatchId, cuts: Arc<[Cut]>) {
        self.merging += 1;
        let (store, gauges, finished) = (self.store.clone(), self.gauges.clone(), self.finished.clone());
        tasks::spawn(async move {
            let began = Instant::now();
            let answers = store.merge(cuts.clone()).await;
            let applied = cuts.iter().zip(&answers).filter(|(_, a)| matches!(a, Ok(Outcome::Applied(_))));
            gauges.merged(&answers, applied.map(|(cut, _)| cut.events).sum(), began.elapsed());
            // The core outlives its merges, but for a shutdown that gave up on them.
            let _ = finished.send(Finished::Merge(batch, answers));
        });
    }

    fn read(&self, read: ReadId, topic: Topic) {
        let (store, gauges, finished) = (self.store.clone(), self.gauges.clone(), self.finished.clone());
        tasks::spawn(async move {
            let result = store.read(&topic).await;
            match &result {
                Ok(_) => gauges.store_answered(Work::Reading),
                Err(e) => {
                    tracing::debug!(%topic, "a topic could not be read: {e}");
                    gauges.store_failed(Work::Reading, e);
                }
            }
            let _ = finished.send(Finished::Read(read, result));
        });
    }
}

fn send<T: Serialize>(outbox: &Outbox, message: &T) -> Result<(), Overflowing> {
    let frame = frame::message(FrameKind::Message, message).map_err(|e| {
        tracing::error!("an answer can't be sent: {e}");
        Overflowing
    })?;
    outbox.frame(frame)
}
