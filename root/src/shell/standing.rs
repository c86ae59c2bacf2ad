//! Looks again and again at whose store it is; the machine says what follows.

use super::gauges::Gauges;
use crate::machine::identity::binding::Chance;
use crate::machine::identity::standing::{NotAcknowledged, Standing, State};
use crate::store::{AnyStore, BoundStore, Store, StoreError};
use countree_common::shell::clock::Clock;
use countree_common::shell::shutdown::Shutdown;
use countree_common::shell::tasks;
use countree_common::store::{FolderAdmission, FolderStore, StoreId, StoreLoss};
use countree_common::wire::rpc::Reply;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// Other roots may write the store's record at the same time; each does so once.
const TRIES: usize = 100;

/// Why nothing could be acknowledged.
#[derive(Debug, thiserror::Error)]
enum Unacknowledged {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Refused(#[from] NotAcknowledged),
    #[error("the store's identity is being written by others all the time: repeat it")]
    Contended,
}

/// One root's standing with its store.
#[derive(Debug, Clone)]
pub(super) struct Stand {
    machine: Arc<Mutex<Standing>>,
    store: Arc<AnyStore>,
    gauges: Arc<Gauges>,
    clock: Arc<Clock>,
    fence: Arc<watch::Sender<Option<String>>>,
    stores: Arc<watch::Sender<BTreeSet<StoreId>>>,
    /// Looks and acknowledgements come one after another.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Stand {
    /// Begins to look, until `shutdown`; `None` when the store was not bound.
    pub(super) fn start(bound: &BoundStore, gauges: Arc<Gauges>, shutdown: Shutdown) -> Option<Self> {
        let clock = Clock::start();
        let stand = Self {
            machine: Arc::new(Mutex::new(Standing::of(&bound.record, clock.now().mono)?)),
            store: bound.store.clone(),
            gauges,
            clock: Arc::new(clock),
            fence: Arc::new(watch::Sender::new(None)),
            stores: Arc::default(),
            turn: Arc::default(),
        };
        stand.tell();
        let looking = stand.clone();
        tasks::spawn(async move {
            loop {
                looking.look().await;
                tokio::select! {
                    () = tokio::time::sleep(LOOK) => {}
                    () = shutdown.begun() => return,
                }
            }
        });
        Some(stand)
    }

    fn with<T>(&self, work: impl FnOnce(&mut Standing) -> T) -> T {
        work(&mut self.machine.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Why nothing is merged and read, if so; follows changes.
    pub(super) fn fence(&self) -> watch::Receiver<Option<String>> {
        self.fence.subscribe()
    }

    /// The stores whose leaves may send cuts; follows changes.
    pub(super) fn stores(&self) -> watch::Receiver<BTreeSet<StoreId>> {
        self.stores.subscribe()
    }

    /// Why the store is not what it was, if so.
    pub(super) fn words(&self) -> Option<String> {
        self.with(|machine| machine.words())
    }

    /// The registry in the store was found to be older than it was.
    pub(super) fn fell_back(&self, by: Duration) {
        self.with(|machine| machine.handle_fell_back(by));
    }

    /// A leaf wants to join with this folder.
    pub(super) fn admit(&self, folder: &FolderStore) -> Result<FolderAdmission, String> {
        self.with(|machine| machine.admit(folder).map_err(|e| e.to_string()))
    }

    async fn look(&self) {
        let _turn = self.turn.lock().await;
        if let Err(e) = self.look_in_turn().await {
            tracing::debug!("the store does not say who it is: {e}");
            if matches!(e, StoreError::Damaged(_)) {
                self.gauges.set_standing(Some(e.to_string()));
            }
        }
    }

    async fn look_in_turn(&self) -> Result<(), StoreError> {
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
                self.say(&after);
            }
            self.tell();
            match write {
                Some(record) => drop(self.store.put_identity(record).await?),
                None => return Ok(()),
            }
        }
        Ok(())
    }

    fn say(&self, state: &State) {
        match self.words() {
            Some(words) => tracing::error!("{words}"),
            None => {
                tracing::info!(?state, "the store is what it was, or an operator has acknowledged what it is")
            }
        }
    }

    fn tell(&self) {
        let (words, is_fenced, stores) =
            self.with(|machine| (machine.words(), machine.is_fenced(), machine.stores()));
        self.stores.send_if_modified(|known| std::mem::replace(known, stores.clone()) != stores);
        self.gauges.set_standing(words.clone());
        let fence = words.filter(|_| is_fenced);
        self.fence.send_if_modified(|known| std::mem::replace(known, fence.clone()) != fence);
    }

    /// Answers [`Request::AcknowledgeStore`](countree_common::wire::rpc::Request::AcknowledgeStore).
    pub(super) async fn acknowledge(&self) -> Reply {
        let _turn = self.turn.lock().await;
        match self.acknowledge_in_turn().await {
            Ok(what) => Reply::Acknowledged(Ok(what)),
            Err(e @ Unacknowledged::Refused(_)) => Reply::Acknowledged(Err(e.to_string())),
            Err(e) => Reply::Failed(e.to_string()),
        }
    }

    async fn acknowledge_in_turn(&self) -> Result<Option<String>, Unacknowledged> {
        for _ in 0..TRIES {
            let (found, now) = (self.store.identity().await?, self.clock.now().mono);
            let chance = Chance { id: rand::random(), start: rand::random() };
            let (record, state) = self.with(|machine| {
                let record = machine.acknowledge(&found, now, chance);
                (record, machine.state().clone())
            });
            let Some(record) = record? else { return Ok(None) };
            let id = record.id;
            if self.store.put_identity(record).await? {
                if found.record.is_some_and(|found| found.id != id) {
                    self.store.serve_as(id, true).await?;
                }
                tracing::warn!(?state, store = %id, "an operator has acknowledged what happened to the store");
                self.look_in_turn().await?;
                return Ok(Some(name_of(&state).into()));
            }
        }
        Err(Unacknowledged::Contended)
    }
}

/// For programs.
fn name_of(state: &State) -> &'static str {
    match state {
        State::Sound => "sound",
        State::Lost(StoreLoss::Emptied) => "emptied",
        State::Lost(StoreLoss::WentBack) => "went_back",
        State::Exchanged { .. } => "exchanged",
        State::Taken { .. } => "taken",
        State::Superseded { .. } => "superseded",
    }
}
