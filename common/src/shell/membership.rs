//! Membership of a cluster: a node's incarnation, its heartbeats, and the view that they bring back.
//! Roots keep the registry; all others talk to it through any root.

use super::lookup;
use super::peers::{PeerError, Peers};
use super::shutdown::Shutdown;
use crate::cluster::{ClusterView, Node, NodeName, Tier};
use crate::config::host_port::HostPort;
use crate::store::{FolderAdmission, FolderStore};
use crate::stream::StreamId;
use crate::wire::rpc::{LogEnd, NodeStats, Reply, Request};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Interval of heartbeats; a node learns of a new epoch within this.
pub const HEARTBEAT: Duration = Duration::from_millis(400);
/// A node that sends no heartbeat for this long is dropped from the view.
pub const LEASE: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(100);

/// A node without a data folder follows the roots to another store once it has been refused for this long. By then the
/// leaves have said which store they belong to, and roots that were started on a wrong one answer nobody.
pub const FOREIGN_AFTER: Duration = Duration::from_secs(10);

/// A root that has not answered after this long is passed over. Well below [`LEASE`], so that a dead root
/// lets no other node's lease run out.
const ROOT_TIMEOUT: Duration = Duration::from_millis(1_500);

/// The result of a leaf's joining.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// Higher than any that the name had before.
    pub incarnation: u64,
    /// Streams that are missing in its log.
    pub missing: Vec<StreamId>,
    /// The store that its folder belongs to from now on.
    pub store: Option<FolderAdmission>,
}

/// The refusal of a leaf's data folder, for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct JoinRefused(pub String);

/// A node's membership of its cluster.
#[derive(Debug, Clone)]
pub struct Membership {
    peers: Peers,
    bootstrap: Vec<HostPort>,
    /// The root that answered last, which is asked first.
    answering: Arc<Mutex<Option<SocketAddr>>>,
    view: Arc<watch::Sender<Arc<ClusterView>>>,
    confirmed: Arc<watch::Sender<()>>,
}

impl Membership {
    /// `bootstrap` lists roots to ask before a view is known, and when none in it answers.
    pub fn new(peers: Peers, bootstrap: Vec<HostPort>) -> Self {
        Self {
            peers,
            bootstrap,
            answering: Arc::default(),
            view: Arc::new(watch::Sender::new(Arc::default())),
            confirmed: Arc::new(watch::Sender::new(())),
        }
    }

    /// The view as last heard; the receiver follows changes. Epoch 0 means that nothing was heard yet.
    pub fn view(&self) -> watch::Receiver<Arc<ClusterView>> {
        self.view.subscribe()
    }

    /// Signals each time that a root has confirmed the view, or brought a newer one.
    pub fn confirmations(&self) -> watch::Receiver<()> {
        self.confirmed.subscribe()
    }

    /// Connections to the other nodes.
    pub fn peers(&self) -> &Peers {
        &self.peers
    }

    /// Asks one root after another until one answers, beginning with the one that answered last. The
    /// bootstrap names are looked up only when none in the view answers: their addresses may have changed by
    /// then.
    ///
    /// # Errors
    /// The last root's, when none answers.
    pub async fn ask_a_root(&self, request: &Request) -> Result<Reply, PeerError> {
        let view = self.view.borrow().clone();
        let known: Vec<_> = view.tier(Tier::Root).map(|n| (n.name.to_string(), n.quic)).collect();
        let failed = match self.ask_in_turn(known.clone(), request).await {
            Ok(reply) => return Ok(reply),
            Err(e) => e,
        };
        let found = lookup::addresses(&self.bootstrap).await.into_iter();
        let others = found.filter(|address| !known.iter().any(|(_, asked)| asked == address));
        let others: Vec<_> = others.map(|address| (Tier::Root.to_string(), address)).collect();
        if others.is_empty() { Err(failed) } else { self.ask_in_turn(others, request).await }
    }

    async fn ask_in_turn(
        &self,
        mut roots: Vec<(String, SocketAddr)>,
        request: &Request,
    ) -> Result<Reply, PeerError> {
        let answering = *self.answering.lock().unwrap_or_else(PoisonError::into_inner);
        roots.sort_by_key(|(_, address)| Some(*address) != answering);
        let mut error = PeerError::Failed("no root is known: give the address of one".into());
        for (name, address) in roots {
            match self.peers.call_at_within(&name, address, request, ROOT_TIMEOUT).await {
                Ok(reply) => {
                    *self.answering.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
                    return Ok(reply);
                }
                Err(e) => error = e,
            }
        }
        Err(error)
    }

    /// Learns the incarnation of this start of the node; asks until a root answers or `shutdown`.
    pub async fn join(&self, name: &NodeName, tier: Tier, at_least: u64, shutdown: &Shutdown) -> Option<u64> {
        let request = Request::Join { name: name.clone(), tier, at_least };
        self.joined(&request, shutdown).await.ok().flatten().map(|joined| joined.incarnation)
    }

    /// [`Membership::join`] for a leaf that starts on this log, in a folder of that store; `None` after
    /// `shutdown`.
    ///
    /// # Errors
    /// When the folder belongs to another store.
    pub async fn join_on_log(
        &self,
        leaf: &NodeName,
        log: Vec<LogEnd>,
        store: FolderStore,
        shutdown: &Shutdown,
    ) -> Result<Option<Joined>, JoinRefused> {
        self.joined(&Request::JoinOnLog { leaf: leaf.clone(), log, store }, shutdown).await
    }

    async fn joined(&self, request: &Request, shutdown: &Shutdown) -> Result<Option<Joined>, JoinRefused> {
        for attempt in 0u32.. {
            match self.ask_a_root(request).await {
                Ok(Reply::Joined { incarnation, store }) => {
                    self.peers.belong_to(store);
                    return Ok(Some(Joined { incarnation, missing: Vec::new(), store: None }));
                }
                Ok(Reply::JoinedOnLog { incarnation, missing, store }) => {
                    self.peers.belong_to(store.as_ref().map(|store| store.id));
                    return Ok(Some(Joined { incarnation, missing, store }));
                }
                Ok(Reply::Refused(reason)) => return Err(JoinRefused(reason)),
                Ok(_) => tracing::warn!("a root answered something else to Join"),
                Err(e) if attempt % 50 == 10 => tracing::warn!("waiting for a root: {e}"),
                Err(_) => {}
            }
            tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
                () = shutdown.begun() => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Keeps a node without a data folder in the view until `shutdown`; `stats` is called for each heartbeat.
    pub async fn heartbeats(&self, node: Node, stats: impl Fn() -> NodeStats, shutdown: &Shutdown) {
        let beat = |epoch| Request::Heartbeat { node: node.clone(), stats: stats(), epoch };
        self.beats_until_foreign(beat, Some(FOREIGN_AFTER), shutdown).await;
    }

    /// [`Membership::heartbeats`] with heartbeats of the node's own, for the epoch of the view that it uses.
    pub async fn beats(&self, beat: impl Fn(u64) -> Request, shutdown: &Shutdown) {
        self.beats_until_foreign(beat, None, shutdown).await;
    }

    async fn beats_until_foreign(
        &self,
        beat: impl Fn(u64) -> Request,
        foreign_after: Option<Duration>,
        shutdown: &Shutdown,
    ) {
        let mut failures = 0u32;
        let mut foreign_since = None;
        loop {
            let request = beat(self.view.borrow().epoch);
            let answer = self.ask_a_root(&request).await;
            if !matches!(answer, Err(PeerError::OtherStore(_))) {
                foreign_since = None;
            } else if foreign_after
                .is_some_and(|after| foreign_since.get_or_insert_with(Instant::now).elapsed() >= after)
            {
                tracing::warn!("the roots use another store by now: following them");
                self.peers.belong_to(None);
            }
            match answer {
                Ok(Reply::View(view)) => {
                    failures = 0;
                    self.learn(view);
                    self.confirmed.send_replace(());
                }
                Ok(_) => tracing::warn!("a root answered something else to Heartbeat"),
                Err(e) => {
                    failures += 1;
                    if failures.is_power_of_two() {
                        tracing::warn!(failures, "no root takes the heartbeat: {e}");
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(if failures == 0 { HEARTBEAT } else { RETRY }) => {}
                () = shutdown.begun() => return,
            }
        }
    }

    /// Takes the node out of the view at once, if a root can be reached.
    pub async fn leave(&self, name: &NodeName) {
        if let Err(e) = self.ask_a_root(&Request::Leave(name.clone())).await {
            tracing::warn!("could not tell a root that {name} leaves; its lease will run out: {e}");
        }
    }

    /// Takes up a view, if it is newer.
    pub fn learn(&self, view: ClusterView) {
        self.view.send_if_modified(|known| {
            let newer = view.epoch > known.epoch;
            if newer {
                *known = Arc::new(view);
            }
            newer
        });
    }
}
