//! The node around the machine: QUIC, HTTP, tasks and time.

#![allow(clippy::disallowed_methods, reason = "shells are where clocks and threads are allowed")]

mod board;
mod core;
mod gate;
mod links;
mod read;
mod report;
mod routes;
mod sse;
mod topic_path;
mod viewers;

use self::board::Board;
use self::core::Core;
use self::report::Report;
use self::routes::Site;
use self::viewers::Lobby;
use axum::Router;
use countree_common::cluster::{Node, NodeName, Tier};
use countree_common::shell::access::Access;
use countree_common::shell::clock::Clock;
use countree_common::shell::identity::{Identity, IdentityError};
use countree_common::shell::membership::Membership;
use countree_common::shell::metrics::Page;
use countree_common::shell::peers::Peers;
use countree_common::shell::quic::{self, Profile};
use countree_common::shell::server::{self, Policy};
use countree_common::shell::shutdown::Shutdown;
use countree_common::wire::hello::Conversation;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Messages that wait for the core; beyond it whoever sends them waits too.
const INPUTS: usize = 4_096;
/// A starting node waits this long for a first root; it goes on without, and says so in `trouble`.
const FIRST_ROOT: Duration = Duration::from_secs(5);
/// A leaving node gives its viewers this long to take their leave.
const FAREWELL: Duration = Duration::from_secs(2);

/// What a broadcast node needs to know.
pub struct BroadcastOptions {
    /// The cluster's name.
    pub cluster: NodeName,
    /// The node's name, as in its certificate.
    pub name: NodeName,
    /// Where it listens for QUIC (UDP); port 0 picks a free one.
    pub quic: SocketAddr,
    /// Where others reach it over QUIC, when that is another address; port 0 stands for the port that it
    /// listens on.
    pub advertise: Option<SocketAddr>,
    /// Where its HTTP routes are served, to be listed in the view.
    pub http: Option<SocketAddr>,
    /// Its certificate and the CA.
    pub identity: Arc<Identity>,
    /// Where roots are found at first.
    pub roots: Vec<SocketAddr>,
    /// At most one update per viewer in this time.
    pub tick: Duration,
    /// Decides who may watch, over QUIC and HTTP alike; the live page itself is for everybody.
    pub access: Access,
}

impl std::fmt::Debug for BroadcastOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut f = f.debug_struct("BroadcastOptions");
        f.field("name", &self.name).field("quic", &self.quic).finish_non_exhaustive()
    }
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its address is taken, or not this machine's.
    #[error("cannot listen for QUIC on {address}: {source}; give another address for `quic`")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// Its certificate can't be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// It was told to stop before any root answered.
    #[error("stopped before any root answered")]
    Stopped,
}

/// A running broadcast node.
#[derive(Debug)]
pub struct BroadcastNode {
    node: Node,
    membership: Membership,
    endpoint: quinn::Endpoint,
    to_roots: quinn::Endpoint,
    lobby: Arc<Lobby>,
    site: Site,
    report: watch::Receiver<Report>,
    leaving: Shutdown,
    core: JoinHandle<()>,
    heartbeats: JoinHandle<()>,
}

impl BroadcastNode {
    /// Binds QUIC, joins the cluster, and returns once a root sends totals, or none could be reached for
    /// a while.
    ///
    /// `stop` gives up: the start, while no root has answered; after that, only the wait for totals.
    ///
    /// # Errors
    /// When the address or the identity can't be used, or it was stopped before any root answered.
    pub async fn start(options: BroadcastOptions, stop: &Shutdown) -> Result<Self, StartError> {
        let BroadcastOptions { cluster, name, quic, advertise, http, identity, roots, tick, access } =
            options;
        let bind = |address, config| {
            quic::endpoint(address, config).map_err(|source| StartError::Bind { address, source })
        };
        let endpoint = bind(quic, Some(quic::server_config(identity.server_tls()?, Profile::Fanout)?))?;
        // An endpoint of its own, so that viewers who all come at once do not hold up the totals.
        let to_roots = bind(SocketAddr::new(quic.ip(), 0), None)?;
        let client = quic::client_config(identity.client_tls()?, Profile::Bulk)?;
        let peers = Peers::new(to_roots.clone(), client, cluster.clone(), Some(name.clone()), None);
        let membership = Membership::new(peers, roots);
        let incarnation = membership.join(&name, 0, stop).await.ok_or(StartError::Stopped)?;

        let local = endpoint.local_addr().map_err(|source| StartError::Bind { address: quic, source })?;
        let mut address = advertise.unwrap_or(local);
        if address.port() == 0 {
            address.set_port(local.port());
        }
        let node = Node { name, tier: Tier::Broadcast, quic: address, http, incarnation };
        let leaving = Shutdown::new();
        let (inputs, queue) = mpsc::channel(INPUTS);
        let (board, lobby) = (Arc::new(Board::default()), Arc::new(Lobby::new(inputs.clone())));
        let (reports, mut report) = watch::channel(Report::default());
        let core = Core::new(Clock::start(), membership.clone(), board.clone(), reports, inputs, &leaving);
        let core = tokio::spawn(core.run(queue, tick));
        let site =
            Site { membership: membership.clone(), board, lobby: lobby.clone(), access: access.clone() };
        let heartbeats = spawn_heartbeats(&node, &membership, &report, &leaving);
        let policy = Policy {
            cluster,
            tier: Tier::Broadcast,
            conversations: &[Conversation::Watch],
            admission: Arc::new(move |hello| access.check_hello(hello)),
        };
        let watching = lobby.clone();
        tokio::spawn(server::serve(endpoint.clone(), policy, leaving.clone(), move |greeted| {
            viewers::watch(greeted, watching.clone())
        }));
        let connected = tokio::time::timeout(FIRST_ROOT, report.wait_for(|report| report.roots > 0));
        let is_late = tokio::select! {
            connected = connected => connected.is_err(),
            () = stop.begun() => false,
        };
        if is_late {
            tracing::warn!("no root sends totals to {} yet", node.name);
        }
        Ok(Self { node, membership, endpoint, to_roots, lobby, site, report, leaving, core, heartbeats })
    }

    /// The node as it is listed in the view.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The node's place in its cluster.
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// The live page, and reads and streams of topics.
    pub fn routes(&self) -> Router {
        routes::router(self.site.clone())
    }

    /// Why the node can't do its work right now, if it can't.
    pub fn trouble(&self) -> Option<String> {
        if self.leaving.has_begun() {
            return Some("the node is leaving".into());
        }
        self.report.borrow().trouble()
    }

    /// Writes the node's metrics.
    pub fn metrics(&self, page: &mut Page) {
        self.report.borrow().write(self.node.name.as_str(), page);
    }

    /// Sends the viewers elsewhere and leaves the cluster. Takes a few seconds at most.
    pub async fn stop(self) {
        let Self { node, membership, endpoint, to_roots, lobby, leaving, core, mut heartbeats, .. } = self;
        leaving.begin();
        let leave = async {
            // A late heartbeat would bring the node back after it has left.
            if tokio::time::timeout(FAREWELL, &mut heartbeats).await.is_err() {
                heartbeats.abort();
            }
            if tokio::time::timeout(FAREWELL, membership.leave(&node.name)).await.is_err() {
                tracing::warn!("no root took the leave of {} in time; its lease will run out", node.name);
            }
        };
        let empty = async {
            // The core lets go of all viewers as it ends.
            let _ = core.await;
            let _ = tokio::time::timeout(FAREWELL, lobby.emptied()).await;
        };
        tokio::join!(leave, empty);
        endpoint.close(0u32.into(), b"leaving");
        to_roots.close(0u32.into(), b"leaving");
        let _ = tokio::time::timeout(FAREWELL, endpoint.wait_idle()).await;
    }
}

fn spawn_heartbeats(
    node: &Node,
    membership: &Membership,
    report: &watch::Receiver<Report>,
    leaving: &Shutdown,
) -> JoinHandle<()> {
    let (node, membership, report, leaving) =
        (node.clone(), membership.clone(), report.clone(), leaving.clone());
    tokio::spawn(async move {
        membership.heartbeats(node, || report.borrow().node_stats(), &leaving).await;
    })
}
