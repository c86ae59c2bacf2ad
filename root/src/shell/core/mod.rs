//! The task that owns the root machine. It never waits for a peer or the store: slow work runs in tasks of its own
//! that report back.

mod input;
mod peers;
mod store_calls;

use super::gauges::Gauges;
use super::local_merges::LocalMerges;
use super::outbox::{Outbox, Overflowing};
use super::registry::RegistryHandle;
use super::store_monitor::StoreMonitor;
use crate::machine::{ConnectionId, Output, RootMachine, StoreSilent};
use crate::store::AnyStore;
use countree_common::cluster::ClusterView;
use countree_common::shell::clock::Clock;
use countree_common::shell::shutdown::Shutdown;
use countree_common::shell::tasks;
use countree_common::store::StoreId;
use countree_common::time::Time;
pub(super) use input::{CoreHandle, Finished, Input};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Messages of peers that wait for the core; above it QUIC flow control holds the peers back.
const INPUTS_QUEUED: usize = 64;
const TICK: Duration = Duration::from_millis(50);
/// Time between two questions to the store whether another process serves by now.
const ERA_GAP: Duration = Duration::from_secs(1);
/// At shutdown, merges have this long to come back.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

/// Values of other tasks that the core follows.
struct Watched {
    view: watch::Receiver<Arc<ClusterView>>,
    confirmed: watch::Receiver<Time>,
    /// The reason why the store is left alone; `None` while it is used.
    fence: watch::Receiver<Option<String>>,
    /// The stores whose leaves may send cuts.
    stores: watch::Receiver<BTreeSet<StoreId>>,
}

/// The core and its surroundings.
pub(super) struct Core {
    machine: RootMachine,
    clock: Clock,
    store: Arc<AnyStore>,
    gauges: Arc<Gauges>,
    leaves: HashMap<ConnectionId, Outbox>,
    broadcasts: HashMap<ConnectionId, Outbox>,
    local_merges: LocalMerges,
    finished: mpsc::UnboundedSender<Finished>,
    merging: usize,
}

/// Starts the core; it ends after `shutdown`, when the merges under way have come back.
pub(super) fn start(
    store: Arc<AnyStore>,
    gauges: Arc<Gauges>,
    registry: &RegistryHandle,
    monitor: &StoreMonitor,
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
        local_merges: LocalMerges::default(),
        finished: finished.clone(),
        merging: 0,
    };
    let (view, confirmed) = (registry.view(), registry.confirmed());
    let watched = Watched { view, confirmed, fence: monitor.fence(), stores: monitor.stores() };
    let task = tasks::spawn(core.run(input_receiver, finished_receiver, watched, shutdown));
    (CoreHandle { inputs, finished }, task)
}

impl Core {
    async fn run(
        mut self,
        mut inputs: mpsc::Receiver<Input>,
        mut finished: mpsc::UnboundedReceiver<Finished>,
        watched: Watched,
        shutdown: Shutdown,
    ) {
        let Watched { mut view, mut confirmed, mut fence, mut stores } = watched;
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

    /// Carries out the machine's outputs.
    fn drain(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Merge { batch, cuts } => self.merge(batch, cuts),
                Output::Read { read, topic } => self.read(read, topic),
                Output::Answer { connection, message } if self.local_merges.is_one(connection) => {
                    if self.local_merges.answered(connection, message) {
                        self.machine.handle_leaf_closed(connection);
                    }
                }
                Output::Answer { connection, message } => {
                    let sent = self.leaves.get(&connection).map(|outbox| outbox.message(&message));
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
        self.gauges.core.queued_cuts.store(self.machine.queued_cuts(), Relaxed);
        self.gauges.core.followed_topics.store(self.machine.followed_topics(), Relaxed);
        self.gauges.core.watermark.store(self.machine.watermark().0, Relaxed);
        self.gauges.core.leaves.store(self.leaves.len(), Relaxed);
        self.gauges.core.broadcasts.store(self.broadcasts.len(), Relaxed);
    }
}
