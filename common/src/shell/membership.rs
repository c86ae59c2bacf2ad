//! Belonging to a cluster: a node's incarnation, its heartbeats, and the view that they bring back.
//! Roots keep the registry; all others talk to it through any root.

use super::peers::{PeerError, Peers};
use super::shutdown::Shutdown;
use crate::cluster::{ClusterView, Node, NodeName, Tier};
use crate::wire::rpc::{NodeStats, Reply, Request};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Between two heartbeats; a node learns of a new epoch within this.
pub const HEARTBEAT: Duration = Duration::from_millis(400);
/// A node that has not been heard of for this long is out of the view.
pub const LEASE: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(100);

/// A root that has not answered after this long is passed over: well below [`LEASE`], so that a dead root
/// costs nobody its place.
const ROOT_TIMEOUT: Duration = Duration::from_millis(1_500);

/// A node's place in its cluster.
#[derive(Debug, Clone)]
pub struct Membership {
    peers: Peers,
    bootstrap: Vec<SocketAddr>,
    /// The root that answered last is asked first.
    answering: Arc<Mutex<Option<SocketAddr>>>,
    view: Arc<watch::Sender<Arc<ClusterView>>>,
}

impl Membership {
    /// `bootstrap` is where roots are looked for before a view is known, and when none in it answers.
    pub fn new(peers: Peers, bootstrap: Vec<SocketAddr>) -> Self {
        Self {
            peers,
            bootstrap,
            answering: Arc::default(),
            view: Arc::new(watch::Sender::new(Arc::default())),
        }
    }

    /// The nodes, as last heard; follows changes. Epoch 0 means that nothing has been heard yet.
    pub fn view(&self) -> watch::Receiver<Arc<ClusterView>> {
        self.view.subscribe()
    }

    /// Whether that is this node's own name.
    pub fn is_me(&self, name: &NodeName) -> bool {
        self.peers.me() == Some(name)
    }

    /// Connections to the other nodes.
    pub fn peers(&self) -> &Peers {
        &self.peers
    }

    /// Asks one root after another until one answers, the one that answered last first.
    ///
    /// # Errors
    /// The last root's, when none answers.
    pub async fn ask_a_root(&self, request: &Request) -> Result<Reply, PeerError> {
        let view = self.view.borrow().clone();
        let known = view.tier(Tier::Root).map(|n| (n.name.as_str().to_owned(), n.quic));
        let bootstrap = self.bootstrap.iter().map(|a| (Tier::Root.to_string(), *a));
        let mut roots: Vec<_> = known.chain(bootstrap).collect();
        let answering = *self.answering.lock().unwrap_or_else(PoisonError::into_inner);
        roots.sort_by_key(|(_, address)| Some(*address) != answering);
        let mut error = PeerError::Failed("no root is known: give the address of one".into());
        for (name, address) in roots {
            match tokio::time::timeout(ROOT_TIMEOUT, self.peers.call_at(&name, address, request)).await {
                Ok(Ok(reply)) => {
                    *self.answering.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
                    return Ok(reply);
                }
                Ok(Err(e)) => error = e,
                Err(_) => error = PeerError::Timeout,
            }
        }
        Err(error)
    }

    /// Learns which incarnation this start of the node is; asks until a root answers or `shutdown`.
    pub async fn join(&self, name: &NodeName, at_least: u64, shutdown: &Shutdown) -> Option<u64> {
        let request = Request::Join { name: name.clone(), at_least };
        for attempt in 0u32.. {
            match self.ask_a_root(&request).await {
                Ok(Reply::Joined { incarnation }) => return Some(incarnation),
                Ok(_) => tracing::warn!("a root answered something else to Join"),
                Err(e) if attempt % 50 == 10 => tracing::warn!("waiting for a root: {e}"),
                Err(_) => {}
            }
            tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
                () = shutdown.begun() => return None,
            }
        }
        None
    }

    /// Keeps the node in the view until `shutdown`; `stats` is called for each heartbeat.
    pub async fn heartbeats(&self, node: Node, stats: impl Fn() -> NodeStats, shutdown: &Shutdown) {
        let mut failures = 0u32;
        loop {
            let request = Request::Heartbeat { node: node.clone(), stats: stats() };
            match self.ask_a_root(&request).await {
                Ok(Reply::View(view)) => {
                    failures = 0;
                    self.learn(view);
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

    /// Takes the node out of the view at once, if a root can be told.
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
