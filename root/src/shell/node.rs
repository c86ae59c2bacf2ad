//! One root, from its start to its end.

use super::conversations;
use super::core::{self, CoreHandle};
use super::gauges::Gauges;
use super::registry::{self, RegistryHandle};
use super::rpc::Desk;
use crate::machine::ConnectionId;
use crate::machine::registrar::Ask;
use crate::store::AnyStore;
use countree_common::cluster::{ClusterView, Node, NodeName, Tier};
use countree_common::shell::identity::{Identity, IdentityError};
use countree_common::shell::membership::{HEARTBEAT, Membership};
use countree_common::shell::metrics::Page;
use countree_common::shell::peers::Peers;
use countree_common::shell::quic::{self, Profile, StreamError};
use countree_common::shell::server::{Greeted, Policy, serve};
use countree_common::shell::shutdown::Shutdown;
use countree_common::wire::hello::Conversation;
use countree_common::wire::rpc::Reply;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// The store has this long to take the root into the registry.
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);
const JOIN_RETRY: Duration = Duration::from_millis(100);
/// Conversations have this long to end, and then connections to close.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// What a root is told.
#[derive(Debug, Clone)]
pub struct RootOptions {
    /// The cluster's name.
    pub cluster: NodeName,
    /// The node's name.
    pub name: NodeName,
    /// Where to listen for QUIC; port 0 picks a free one.
    pub quic: SocketAddr,
    /// Where others reach it over QUIC, when that is another address.
    pub advertise: Option<SocketAddr>,
    /// Where it speaks HTTP, to be listed; whoever starts the root serves it.
    pub http: Option<SocketAddr>,
    /// The node's certificate and key.
    pub identity: Arc<Identity>,
    /// Where totals are kept; roots of one process may share it.
    pub store: Arc<AnyStore>,
}

/// Why a root did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The identity does not work for TLS.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The address can't be listened on.
    #[error("can't listen on {address} (UDP): {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The registry did not take it in.
    #[error("the root could not join the cluster within {} s: {reason}", JOIN_TIMEOUT.as_secs())]
    Join {
        /// What the registry, or the store, said last.
        reason: String,
    },
}

/// A running root.
#[derive(Debug)]
pub struct RootNode {
    node: Node,
    endpoint: quinn::Endpoint,
    gauges: Arc<Gauges>,
    registry: RegistryHandle,
    membership: Membership,
    /// Ends everything but the registry, which outlives the others to take the farewell.
    shutdown: Shutdown,
    registry_shutdown: Shutdown,
    core: tokio::task::JoinHandle<()>,
    /// How many conversations are held.
    conversations: watch::Receiver<usize>,
}

impl RootNode {
    /// Binds, joins the cluster and begins to serve. The root is in the view when this returns.
    ///
    /// # Errors
    /// When the address is taken, the identity does not work, or the store does not answer.
    pub async fn start(options: RootOptions) -> Result<Self, StartError> {
        let RootOptions { cluster, name, quic, advertise, http, identity, store } = options;
        let server = quic::server_config(identity.server_tls()?, Profile::Bulk)?;
        let client = quic::client_config(identity.client_tls()?, Profile::Bulk)?;
        let listen = |source| StartError::Listen { address: quic, source };
        let endpoint = quic::endpoint(quic, Some(server)).map_err(listen)?;
        let bound = endpoint.local_addr().map_err(listen)?;

        let gauges = Arc::new(Gauges::default());
        let (shutdown, registry_shutdown) = (Shutdown::new(), Shutdown::new());
        let registry = registry::start(store.clone(), gauges.clone(), registry_shutdown.clone());
        let incarnation = match join(&registry, &name).await {
            Ok(incarnation) => incarnation,
            Err(e) => {
                registry_shutdown.begin();
                return Err(e);
            }
        };
        let quic = advertise.unwrap_or(bound);
        let node = Node { name: name.clone(), tier: Tier::Root, quic, http, incarnation };

        let (core_handle, core) =
            core::start(store.clone(), gauges.clone(), registry.view(), shutdown.clone());
        let desk = Desk::new(registry.clone(), store, gauges.clone());
        let (held, conversations) = watch::channel(0);
        let held = Arc::new(held);
        let server = Server { core: core_handle, desk: desk.clone(), next: Arc::default(), held };
        let policy = policy(cluster.clone());
        let handler = move |greeted| server.clone().hold(greeted);
        tokio::spawn(serve(endpoint.clone(), policy, shutdown.clone(), handler));

        let peers = Peers::new(endpoint.clone(), client, cluster, Some(name), None);
        let membership = Membership::new(peers, vec![reachable(bound)]);
        let root = Self {
            node,
            endpoint,
            gauges,
            registry,
            membership,
            shutdown,
            registry_shutdown,
            core,
            conversations,
        };
        root.enter_view(desk).await?;
        Ok(root)
    }

    /// Registers the node, and keeps it registered.
    async fn enter_view(&self, desk: Desk) -> Result<(), StartError> {
        let (node, registry, gauges) = (self.node.clone(), self.registry.clone(), self.gauges.clone());
        until_joined(
            || registry.ask(Ask::Heartbeat(node.clone())),
            |reply| match reply {
                Reply::View(view) if view.node(&node.name).is_some() => Some(()),
                _ => None,
            },
        )
        .await
        .inspect_err(|_| self.abandon())?;
        let shutdown = self.shutdown.clone();
        tokio::spawn(heartbeats(node.clone(), registry, gauges.clone(), desk, shutdown.clone()));
        // The membership follows the view by asking roots, this one among them, as every other node does.
        let membership = self.membership.clone();
        tokio::spawn(async move { membership.heartbeats(node, || gauges.stats(), &shutdown).await });
        Ok(())
    }

    fn abandon(&self) {
        self.shutdown.begin();
        self.registry_shutdown.begin();
        self.endpoint.close(0u32.into(), b"");
    }

    /// The node as it is listed.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The node's view of the cluster, for what asks other nodes.
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// The live nodes, as this root's copy of the registry says.
    pub fn view(&self) -> watch::Receiver<Arc<ClusterView>> {
        self.registry.view()
    }

    /// A root has no routes of its own.
    pub fn routes(&self) -> axum::Router {
        axum::Router::new()
    }

    /// Writes the root's metrics.
    pub fn metrics(&self, page: &mut Page) {
        self.gauges.write(self.node.name.as_str(), page);
    }

    /// Why the root can't do its work right now, if it can't.
    pub fn trouble(&self) -> Option<String> {
        self.gauges.trouble()
    }

    /// Leaves the cluster, finishes the merges under way, answers and closes. Takes a few seconds at most.
    pub async fn stop(mut self) {
        let farewell = self.registry.ask(Ask::Leave(self.node.name.clone()));
        if let Ok(Reply::Failed(reason)) = tokio::time::timeout(STOP_TIMEOUT, farewell).await {
            tracing::warn!("the root could not leave the registry; its lease will run out: {reason}");
        }
        self.shutdown.begin();
        if let Err(e) = self.core.await {
            tracing::error!("the root's core ended badly: {e}");
        }
        let _ = tokio::time::timeout(STOP_TIMEOUT, self.conversations.wait_for(|held| *held == 0)).await;
        self.registry_shutdown.begin();
        self.endpoint.close(0u32.into(), b"the root stops");
        let _ = tokio::time::timeout(STOP_TIMEOUT, self.endpoint.wait_idle()).await;
    }
}

fn policy(cluster: NodeName) -> Policy {
    Policy {
        cluster,
        tier: Tier::Root,
        conversations: &[Conversation::Uplink, Conversation::Publish, Conversation::Rpc],
        admission: Arc::new(|_| Err("a root speaks to nodes only".into())),
    }
}

/// An address at which a socket bound like this is reached from the same machine.
fn reachable(bound: SocketAddr) -> SocketAddr {
    let ip = match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, bound.port())
}

/// Repeats a question until its answer is the one that is hoped for, or time is up.
async fn until_joined<T, Fut: Future<Output = Reply>>(
    ask: impl Fn() -> Fut,
    hoped: impl Fn(&Reply) -> Option<T>,
) -> Result<T, StartError> {
    let deadline = Instant::now() + JOIN_TIMEOUT;
    loop {
        let reply = ask().await;
        if let Some(result) = hoped(&reply) {
            return Ok(result);
        }
        if Instant::now() > deadline {
            let reason = match reply {
                Reply::Failed(reason) => reason,
                other => format!("the registry answered {other:?}"),
            };
            return Err(StartError::Join { reason });
        }
        tokio::time::sleep(JOIN_RETRY).await;
    }
}

async fn join(registry: &RegistryHandle, name: &NodeName) -> Result<u64, StartError> {
    until_joined(
        || registry.ask(Ask::Join { name: name.clone(), at_least: 0 }),
        |reply| match reply {
            Reply::Joined { incarnation } => Some(*incarnation),
            _ => None,
        },
    )
    .await
}

/// Keeps the root's own lease, without the network in between, and its rate.
async fn heartbeats(
    node: Node,
    registry: RegistryHandle,
    gauges: Arc<Gauges>,
    desk: Desk,
    shutdown: Shutdown,
) {
    let (mut at, mut events) = (Instant::now(), gauges.events());
    loop {
        tokio::select! {
            () = tokio::time::sleep(HEARTBEAT) => {}
            () = shutdown.begun() => return,
        }
        let (now, merged) = (Instant::now(), gauges.events());
        gauges.set_rate(merged.saturating_sub(events) as f64 / now.duration_since(at).as_secs_f64());
        (at, events) = (now, merged);
        desk.note_stats(node.name.clone(), gauges.stats());
        if let Reply::Failed(reason) = registry.ask(Ask::Heartbeat(node.clone())).await {
            tracing::debug!("the root's lease could not be renewed: {reason}");
        }
    }
}

/// Holds the conversations.
#[derive(Clone)]
struct Server {
    core: CoreHandle,
    desk: Desk,
    next: Arc<AtomicU64>,
    held: Arc<watch::Sender<usize>>,
}

/// Counts one conversation for as long as it lives.
struct Held(Arc<watch::Sender<usize>>);

impl Held {
    fn new(held: Arc<watch::Sender<usize>>) -> Self {
        held.send_modify(|held| *held += 1);
        Self(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.send_modify(|held| *held -= 1);
    }
}

impl Server {
    async fn hold(self, greeted: Greeted) -> Result<(), StreamError> {
        let Greeted { conversation, node, sender, receiver, .. } = greeted;
        // The policy lets in nodes only.
        let Some(peer) = node else { return Err(StreamError::Ended) };
        let _held = Held::new(self.held);
        let connection = ConnectionId(self.next.fetch_add(1, Ordering::Relaxed));
        match conversation {
            Conversation::Uplink => {
                conversations::uplink(connection, peer, sender, receiver, self.core).await
            }
            Conversation::Publish => conversations::publish(connection, sender, receiver, self.core).await,
            Conversation::Rpc => self.desk.answer(&peer, sender, receiver).await,
            Conversation::Produce | Conversation::Watch => Err(StreamError::Ended),
        }
    }
}
