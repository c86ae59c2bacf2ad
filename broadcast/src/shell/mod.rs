//! The node around the machine: QUIC, HTTP, tasks and time.

#![allow(clippy::disallowed_methods, reason = "shells are where clocks and threads are allowed")]

mod auth;
mod away;
mod away_updates;
mod complete;
mod core;
mod http_state;
mod input;
mod links;
mod quic_viewers;
mod read;
mod report;
mod routes;
mod sink;
mod snapshot_cache;
mod sse;
mod topic_path;
mod viewer_registry;

use self::core::Core;
use self::http_state::HttpState;
use self::report::{FIRST_ROOT, Report};
use self::snapshot_cache::SnapshotCache;
use self::viewer_registry::ViewerRegistry;
use axum::Router;
use countree_common::cluster::{Node, Tier};
use countree_common::shell::access::Access;
use countree_common::shell::clock::Clock;
use countree_common::shell::identity::IdentityError;
use countree_common::shell::membership::Membership;
use countree_common::shell::metrics::Page;
use countree_common::shell::node::NodeOptions;
use countree_common::shell::peers::Peers;
use countree_common::shell::quic::{self, Profile, StreamError};
use countree_common::shell::server::{self, Greeted, Policy};
use countree_common::shell::shutdown::Shutdown;
use countree_common::shell::tasks;
use countree_common::wire::frame::FrameKind;
use countree_common::wire::hello::Conversation;
use countree_common::wire::rpc::{Question, Reply, Request};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Most messages that wait for the core; with more their senders wait.
const INPUTS: usize = 4_096;
/// Time within which viewers of a leaving node move: a thousand of them make two arrivals per millisecond.
const MOVE_WITHIN: Duration = Duration::from_millis(500);
/// Additional time for moved viewers to arrive elsewhere.
const MOVE_GRACE: Duration = Duration::from_millis(1_500);
/// Most other nodes that a leaving node names to its viewers.
const ALTERNATES: usize = 16;
/// Time limit of each step of leaving.
const FAREWELL: Duration = Duration::from_secs(2);

/// The options of a broadcast node.
#[derive(Debug, Clone)]
pub struct BroadcastOptions {
    /// The options that nodes of every tier have.
    pub node: NodeOptions,
    /// The tick: a viewer gets at most one update in this time.
    pub tick: Duration,
    /// Decides who may watch, over QUIC and HTTP alike; the live page itself is for everybody.
    pub access: Access,
}

/// The reason why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its address is taken, or not this machine's.
    #[error("cannot listen for QUIC on {address}: {source}; give another address for `quic`")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// Its certificate can't be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// It was stopped before any root answered.
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
    registry: Arc<ViewerRegistry>,
    state: HttpState,
    report: watch::Receiver<Report>,
    /// Set when the node is about to leave: it leaves the cluster, and asks its viewers to move.
    departing: Shutdown,
    leaving: Shutdown,
    core: JoinHandle<()>,
    heartbeats: JoinHandle<()>,
}

impl BroadcastNode {
    /// Binds QUIC, joins the cluster, and returns once a root sends totals, or none could be reached for
    /// a while.
    ///
    /// `stop` gives up: the start itself while no root has answered; after that only the wait for totals.
    ///
    /// # Errors
    /// When the address or the identity can't be used, or it was stopped before any root answered.
    pub async fn start(options: BroadcastOptions, stop: &Shutdown) -> Result<Self, StartError> {
        let BroadcastOptions { node: shared, tick, access } = options;
        let server = quic::server_config(shared.identity.server_tls()?, Profile::Fanout)?;
        let bind = |source| StartError::Bind { address: shared.quic, source };
        let endpoint = quic::node_endpoint(shared.quic, server, &shared.identity).map_err(bind)?;
        // An endpoint of its own, so that viewers who all come at once do not hold up the totals.
        let to_roots = quic::endpoint(SocketAddr::new(shared.quic.ip(), 0), None).map_err(bind)?;
        let client = quic::client_config(shared.identity.client_tls()?, Profile::Bulk)?;
        let address = shared.reached_at(endpoint.local_addr().map_err(bind)?);
        let NodeOptions { cluster, name, http, roots, leave, .. } = shared;
        let peers = Peers::new(to_roots.clone(), client, cluster.clone(), Some(name.clone()), None);
        let membership = Membership::new(peers, roots);
        let incarnation =
            membership.join(&name, Tier::Broadcast, 0, stop).await.ok_or(StartError::Stopped)?;

        let node = Node { name, tier: Tier::Broadcast, quic: address, http, incarnation };
        let leaving = Shutdown::new();
        let (inputs, queue) = mpsc::channel(INPUTS);
        let (cache, registry) =
            (Arc::new(SnapshotCache::default()), Arc::new(ViewerRegistry::new(inputs.clone())));
        let (reports, mut report) = watch::channel(Report::default());
        tasks::spawn(away_updates::follow(membership.clone(), cache.clone(), inputs.clone()));
        let core = Core::new(Clock::start(), membership.clone(), cache.clone(), reports, inputs, &leaving);
        let core = tasks::spawn(core.run(queue, tick));
        let state = HttpState {
            membership: membership.clone(),
            cache,
            registry: registry.clone(),
            access: access.clone(),
        };
        let departing = Shutdown::new();
        let heartbeats = spawn_heartbeats(&node, &membership, &report, &departing);
        let policy = Policy {
            cluster,
            tier: Tier::Broadcast,
            conversations: &[Conversation::Watch, Conversation::Rpc],
            admission: Arc::new(move |hello| access.check_hello(hello)),
        };
        let watching = registry.clone();
        tasks::spawn(server::serve(endpoint.clone(), policy, leaving.clone(), move |greeted| {
            let (watching, leave) = (watching.clone(), leave.clone());
            async move {
                match greeted.conversation {
                    Conversation::Watch => quic_viewers::watch(greeted, watching).await,
                    _ => answer(greeted, &leave).await,
                }
            }
        }));
        let connected = tokio::time::timeout(FIRST_ROOT, report.wait_for(|report| report.roots > 0));
        let is_late = tokio::select! {
            connected = connected => connected.is_err(),
            () = stop.begun() => false,
        };
        if is_late {
            tracing::warn!("no root sends totals to {} yet", node.name);
        }
        Ok(Self {
            node,
            membership,
            endpoint,
            to_roots,
            registry,
            state,
            report,
            departing,
            leaving,
            core,
            heartbeats,
        })
    }

    /// The node as it is listed in the view.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Returns the node's membership of its cluster.
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// Returns the routes of the live page, and of reads and streams of topics.
    pub fn routes(&self) -> Router {
        routes::router(self.state.clone())
    }

    /// Returns the reason why the node can't do its work right now, if there is one.
    pub fn trouble(&self) -> Option<String> {
        if self.departing.has_begun() {
            return Some("the node is leaving".into());
        }
        self.report.borrow().trouble()
    }

    /// Writes the node's metrics.
    pub fn metrics(&self, page: &mut Page) {
        self.report.borrow().write(self.node.name.as_str(), page);
    }

    /// Leaves the cluster and asks the viewers to move, serving them until they have gone: some 4 seconds at
    /// most, and no time without viewers or without another node for them.
    pub async fn stop(self) {
        let Self {
            node,
            membership,
            endpoint,
            to_roots,
            registry,
            departing,
            leaving,
            core,
            mut heartbeats,
            ..
        } = self;
        departing.begin();
        // A late heartbeat would bring the node back after it has left.
        if tokio::time::timeout(FAREWELL, &mut heartbeats).await.is_err() {
            heartbeats.abort();
        }
        if tokio::time::timeout(FAREWELL, membership.leave(&node.name)).await.is_err() {
            tracing::warn!("no root took the leave of {} in time; its lease will run out", node.name);
        }
        let view = membership.view().borrow().clone();
        let others = view.tier(Tier::Broadcast).filter(|other| other.name != node.name);
        let alternates: Vec<_> = others.take(ALTERNATES).map(|n| (n.name.clone(), n.quic)).collect();
        if !alternates.is_empty() {
            registry.send_off(alternates, MOVE_WITHIN).await;
            let _ = tokio::time::timeout(MOVE_WITHIN + MOVE_GRACE, registry.emptied()).await;
        }
        leaving.begin();
        // The core drops all viewers as it ends.
        let _ = core.await;
        let _ = tokio::time::timeout(FAREWELL, registry.emptied()).await;
        endpoint.close(0u32.into(), b"leaving");
        to_roots.close(0u32.into(), b"leaving");
        let _ = tokio::time::timeout(FAREWELL, endpoint.wait_idle()).await;
    }
}

/// Answers one request of another node.
async fn answer(greeted: Greeted, leave: &Shutdown) -> Result<(), StreamError> {
    let Greeted { mut sender, mut receiver, .. } = greeted;
    let Some(Question { request, .. }) = receiver.message().await? else { return Ok(()) };
    let reply = match request {
        Request::Drain => {
            leave.begin();
            Reply::Done
        }
        other => Reply::Failed(format!("a broadcast node does not answer {other:?}")),
    };
    sender.send(FrameKind::Message, &reply).await?;
    sender.finish();
    Ok(())
}

fn spawn_heartbeats(
    node: &Node,
    membership: &Membership,
    report: &watch::Receiver<Report>,
    leaving: &Shutdown,
) -> JoinHandle<()> {
    let (node, membership, report, leaving) =
        (node.clone(), membership.clone(), report.clone(), leaving.clone());
    tasks::spawn(async move {
        membership.heartbeats(node, || report.borrow().node_stats(), &leaving).await;
    })
}
