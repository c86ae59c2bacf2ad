//! Checks the store's identity once a second, and acts on what the machine makes of it.

use super::gauges::Gauges;
use crate::machine::identity::binding::RandomIds;
use crate::machine::identity::standing::{NotAcknowledged, Standing, State};
use crate::store::{AnyStore, BoundStore, Store, StoreError};
use countree_common::cluster::NodeName;
use countree_common::shell::clock::Clock;
use countree_common::shell::shutdown::Shutdown;
use countree_common::shell::tasks;
use countree_common::store::{FolderAdmission, FolderStore, StoreId, StoreLoss};
use countree_common::wire::rpc::Reply;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Time between two checks.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// Other roots may write the store's record at the same time; each does so once.
const TRIES: usize = 100;

/// The reason why nothing was acknowledged.
#[derive(Debug, thiserror::Error)]
enum Unacknowledged {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Refused(#[from] NotAcknowledged),
    #[error("the store's identity is being written by others all the time: repeat it")]
    Contended,
}

/// Watches the identity of a root's store.
#[derive(Debug, Clone)]
pub(super) struct StoreMonitor {
    machine: Arc<Mutex<Standing>>,
    store: Arc<AnyStore>,
    gauges: Arc<Gauges>,
    clock: Arc<Clock>,
    fence: Arc<watch::Sender<Option<String>>>,
    stores: Arc<watch::Sender<BTreeSet<StoreId>>>,
    /// Held during a check or an acknowledgement: they exclude each other.
    alone: Arc<tokio::sync::Mutex<()>>,
}

impl StoreMonitor {
    /// Starts to check, until `shutdown`; `None` when the store was not bound.
    pub(super) fn start(bound: &BoundStore, gauges: Arc<Gauges>, shutdown: Shutdown) -> Option<Self> {
        let clock = Clock::start();
        let monitor = Self {
            machine: Arc::new(Mutex::new(Standing::of(&bound.record, clock.now().mono)?)),
            store: bound.store.clone(),
            gauges,
            clock: Arc::new(clock),
            fence: Arc::new(watch::Sender::new(None)),
            stores: Arc::default(),
            alone: Arc::default(),
        };
        monitor.publish();
        let checking = monitor.clone();
        tasks::spawn(async move {
            loop {
                checking.check().await;
                tokio::select! {
                    () = tokio::time::sleep(CHECK_EVERY) => {}
                    () = shutdown.begun() => return,
                }
            }
        });
        Some(monitor)
    }

    fn with<T>(&self, work: impl FnOnce(&mut Standing) -> T) -> T {
        work(&mut self.machine.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The reason why nothing is merged or read; `None` while all is well. Follows changes.
    pub(super) fn fence(&self) -> watch::Receiver<Option<String>> {
        self.fence.subscribe()
    }

    /// The stores whose leaves may send cuts; follows changes.
    pub(super) fn stores(&self) -> watch::Receiver<BTreeSet<StoreId>> {
        self.stores.subscribe()
    }

    /// The reason why the store is not what it was; `None` while it is.
    pub(super) fn problem(&self) -> Option<String> {
        self.with(|machine| machine.problem())
    }

    /// Notes that the registry in the store is older than it was, by that much.
    pub(super) fn fell_back(&self, by: Duration) {
        self.with(|machine| machine.handle_fell_back(by));
    }

    /// Admits a leaf that wants to join with this folder, or says why not.
    pub(super) fn admit(&self, folder: &FolderStore) -> Result<FolderAdmission, String> {
        self.with(|machine| machine.admit(folder).map_err(|e| e.to_string()))
    }

    /// Admits the question of a node that has joined with that store, or says why not.
    pub(super) fn admit_question(&self, node: &NodeName, theirs: StoreId) -> Result<(), String> {
        self.with(|machine| machine.admit_question(node, theirs).map_err(|e| e.to_string()))
    }

    /// Takes the heartbeat of a leaf that has joined with that store; `is_any_listed` if the registry lists a live leaf.
    pub(super) fn note_leaf(&self, leaf: &NodeName, theirs: StoreId, is_any_listed: bool) {
        let now = self.clock.now().mono;
        let changed = self.with(|machine| {
            let before = machine.state().clone();
            machine.handle_leaf(leaf, theirs, is_any_listed, now);
            (*machine.state() != before).then(|| machine.state().clone())
        });
        if let Some(state) = changed {
            self.log_change(&state);
            self.publish();
        }
    }

    /// Names the leaves that live and belong to another store beside those that are away.
    pub(super) fn name_foreign(&self, away: &mut Vec<NodeName>) {
        self.with(|machine| machine.name_foreign(away));
    }

    /// The store that is served.
    pub(super) fn served(&self) -> StoreId {
        self.with(|machine| machine.served())
    }

    async fn check(&self) {
        let _alone = self.alone.lock().await;
        if let Err(e) = self.check_alone().await {
            tracing::debug!("the store does not say who it is: {e}");
            if matches!(e, StoreError::Damaged(_)) {
                self.gauges.set_store_problem(Some(e.to_string()));
            }
        }
    }

    async fn check_alone(&self) -> Result<(), StoreError> {
        for _ in 0..TRIES {
            let found = self.store.identity().await?;
            let now = self.clock.now().mono;
            let (before, after, served, write) = self.with(|machine| {
                let before = (machine.served(), machine.state().clone());
                machine.handle_found(&found, now);
                (before, machine.state().clone(), machine.served(), machine.poll_write())
            });
            if served != before.0 {
                tracing::warn!(store = %served, before = %before.0, "going on with another store, as an operator said");
                self.store.serve_as(served, false).await?;
            }
            if after != before.1 {
                self.log_change(&after);
            }
            self.publish();
            match write {
                Some(record) => drop(self.store.put_identity(record).await?),
                None => return Ok(()),
            }
        }
        Ok(())
    }

    fn log_change(&self, state: &State) {
        match self.problem() {
            Some(problem) => tracing::error!("{problem}"),
            None => {
                tracing::info!(?state, "the store is what it was, or an operator has acknowledged what it is")
            }
        }
    }

    fn publish(&self) {
        let (problem, is_fenced, stores) =
            self.with(|machine| (machine.problem(), machine.is_fenced(), machine.stores()));
        self.stores.send_if_modified(|known| std::mem::replace(known, stores.clone()) != stores);
        self.gauges.set_store_problem(problem.clone());
        let fence = problem.filter(|_| is_fenced);
        self.fence.send_if_modified(|known| std::mem::replace(known, fence.clone()) != fence);
    }

    /// Answers [`Request::AcknowledgeStore`](countree_common::wire::rpc::Request::AcknowledgeStore).
    pub(super) async fn acknowledge(&self) -> Reply {
        let _alone = self.alone.lock().await;
        match self.acknowledge_alone().await {
            Ok(what) => Reply::Acknowledged(Ok(what)),
            Err(e @ Unacknowledged::Refused(_)) => Reply::Acknowledged(Err(e.to_string())),
            Err(e) => Reply::Failed(e.to_string()),
        }
    }

    async fn acknowledge_alone(&self) -> Result<Option<String>, Unacknowledged> {
        for _ in 0..TRIES {
            let (found, now) = (self.store.identity().await?, self.clock.now().mono);
            let ids = RandomIds { id: rand::random(), start: rand::random() };
            let (record, state) = self.with(|machine| {
                let record = machine.acknowledge(&found, now, ids);
                (record, machine.state().clone())
            });
            let Some(record) = record? else { return Ok(None) };
            let id = record.id;
            if self.store.put_identity(record).await? {
                if found.record.is_some_and(|found| found.id != id) {
                    self.store.serve_as(id, true).await?;
                }
                tracing::warn!(?state, store = %id, "an operator has acknowledged what happened to the store");
                self.check_alone().await?;
                return Ok(Some(state_name(&state).into()));
            }
        }
        Err(Unacknowledged::Contended)
    }
}

/// The name of a state in answers for programs.
fn state_name(state: &State) -> &'static str {
    match state {
        State::Sound => "sound",
        State::Lost(StoreLoss::Emptied) => "emptied",
        State::Lost(StoreLoss::WentBack) => "went_back",
        State::Exchanged { .. } => "exchanged",
        State::Taken { .. } => "taken",
        State::Superseded { .. } => "superseded",
        State::Disputed { .. } => "disputed",
    }
}
