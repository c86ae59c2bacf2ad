//! The task that owns the registrar.

use super::gauges::Gauges;
use super::health::Work;
use super::store_monitor::StoreMonitor;
use crate::machine::Registrar;
use crate::machine::registry::registrar::{ASKS_QUEUED, Ask, AskId, RegistrarOutput};
use crate::store::{AnyStore, SavedRegistry, Store, StoreError};
use countree_common::cluster::ClusterView;
use countree_common::shell::clock::Clock;
use countree_common::shell::membership::LEASE;
use countree_common::shell::shutdown::Shutdown;
use countree_common::shell::tasks;
use countree_common::time::Time;
use countree_common::wire::rpc::Reply;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

const TICK: Duration = Duration::from_millis(50);
/// Time between two readings of the registry. Totals are called complete no further than the last one, so this is a
/// part of `complete_to`'s delay.
const REFRESH: Duration = Duration::from_millis(200);

type Question = (Ask, oneshot::Sender<Reply>);

/// Asks the registry, from other tasks.
#[derive(Debug, Clone)]
pub(super) struct RegistryHandle {
    questions: mpsc::Sender<Question>,
    view: watch::Receiver<Arc<ClusterView>>,
    confirmed: watch::Receiver<Time>,
    clock: Clock,
}

impl RegistryHandle {
    /// Asks, and waits for the answer.
    pub(super) async fn ask(&self, ask: Ask) -> Reply {
        let (sender, answer) = oneshot::channel();
        let gone = || Reply::Failed("this root is stopping: ask another".into());
        if self.questions.send((ask, sender)).await.is_err() {
            return gone();
        }
        answer.await.unwrap_or_else(|_| gone())
    }

    /// The live nodes; follows changes. Epoch 0 before the registry is first loaded.
    pub(super) fn view(&self) -> watch::Receiver<Arc<ClusterView>> {
        self.view.clone()
    }

    /// The clock that `confirmed` goes by.
    pub(super) fn clock(&self) -> Clock {
        self.clock
    }

    /// The time at which the store was last asked when it held this view; the view is put out before its confirmation.
    pub(super) fn confirmed(&self) -> watch::Receiver<Time> {
        self.confirmed.clone()
    }
}

enum Finished {
    Load(Result<Option<SavedRegistry>, StoreError>),
    Save(Result<bool, StoreError>),
}

struct RegistryTask {
    machine: Registrar,
    clock: Clock,
    store: Arc<AnyStore>,
    gauges: Arc<Gauges>,
    view: watch::Sender<Arc<ClusterView>>,
    confirmed: watch::Sender<Time>,
    waiting: HashMap<AskId, oneshot::Sender<Reply>>,
    next_ask: u64,
    finished: mpsc::Sender<Finished>,
    monitor: StoreMonitor,
}

/// Starts the task of the registry; it ends with `shutdown`, which is to be thrown after the last question.
pub(super) fn start(
    store: Arc<AnyStore>,
    gauges: Arc<Gauges>,
    monitor: StoreMonitor,
    shutdown: Shutdown,
) -> RegistryHandle {
    let (questions, question_receiver) = mpsc::channel(ASKS_QUEUED);
    // One call is under way at a time.
    let (finished, finished_receiver) = mpsc::channel(1);
    let (view_sender, view) = watch::channel(Arc::default());
    let (confirmed_sender, confirmed) = watch::channel(Time(0));
    let clock = Clock::start();
    let task = RegistryTask {
        machine: Registrar::new(LEASE, REFRESH, rand::random()),
        clock,
        store,
        gauges,
        view: view_sender,
        confirmed: confirmed_sender,
        waiting: HashMap::new(),
        next_ask: 0,
        finished,
        monitor,
    };
    tasks::spawn(task.run(question_receiver, finished_receiver, shutdown));
    RegistryHandle { questions, view, confirmed, clock }
}

impl RegistryTask {
    async fn run(
        mut self,
        mut questions: mpsc::Receiver<Question>,
        mut finished: mpsc::Receiver<Finished>,
        shutdown: Shutdown,
    ) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut fence = self.monitor.fence();
        loop {
            tokio::select! {
                Ok(()) = fence.changed() => {
                    let reason = fence.borrow_and_update().clone();
                    self.machine.handle_fence(reason, self.clock.now());
                }
                Some((ask, answer)) = questions.recv() => {
                    let id = AskId(self.next_ask);
                    self.next_ask += 1;
                    self.waiting.insert(id, answer);
                    self.machine.handle_ask(id, ask, self.clock.now());
                }
                Some(finished) = finished.recv() => self.handle_finished(finished),
                _ = tick.tick() => self.machine.handle_tick(self.clock.now()),
                () = shutdown.begun() => return,
            }
            self.drain();
        }
    }

    fn handle_finished(&mut self, finished: Finished) {
        let now = self.clock.now();
        match &finished {
            Finished::Load(Err(e)) => self.gauges.store_failed(Work::Reading, e),
            Finished::Save(Err(e)) => self.gauges.store_failed(Work::Writing, e),
            Finished::Load(Ok(_)) => self.gauges.store_answered(Work::Reading),
            Finished::Save(Ok(_)) => self.gauges.store_answered(Work::Writing),
        }
        match finished {
            Finished::Load(result) => self.machine.handle_loaded(result.map_err(|e| e.to_string()), now),
            Finished::Save(result) => self.machine.handle_saved(result.map_err(|e| e.to_string()), now),
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                RegistrarOutput::Load => {
                    let (store, finished) = (self.store.clone(), self.finished.clone());
                    tasks::spawn(async move {
                        let _ = finished.send(Finished::Load(store.load_registry().await)).await;
                    });
                }
                RegistrarOutput::Save { expected, next, text } => {
                    let (store, finished) = (self.store.clone(), self.finished.clone());
                    tasks::spawn(async move {
                        let _ = finished
                            .send(Finished::Save(store.save_registry(expected, next, text).await))
                            .await;
                    });
                }
                RegistrarOutput::Reply { ask, reply } => {
                    if let Some(answer) = self.waiting.remove(&ask) {
                        // The asker may have gone.
                        let _ = answer.send(reply);
                    }
                }
                RegistrarOutput::View(view) => {
                    self.view.send_replace(Arc::new(view));
                }
                RegistrarOutput::FellBack(by) => self.monitor.fell_back(by),
                RegistrarOutput::Confirmed(asked) => {
                    self.confirmed.send_replace(asked);
                }
            }
        }
    }
}
