//! Runs one root, from its start to its end.

use super::auditing::{AuditResults, AuditTask};
use super::core;
use super::gauges::Gauges;
use super::joining::{JoinError, enter, heartbeats, join};
use super::registry::{self, RegistryHandle};
use super::rpc::RpcService;
use super::server::{self, Server};
use super::splitting::keep_splits;
use super::store_monitor::StoreMonitor;
use crate::machine::registry::registrar::Ask;
use crate::store::{AnyStore, BoundStore};
use countree_common::cluster::{ClusterView, Node, Tier};
use countree_common::shell::identity::IdentityError;
use countree_common::shell::membership::Membership;
use countree_common::shell::metrics::Page;
use countree_common::shell::node::NodeOptions;
use countree_common::shell::peers::Peers;
use countree_common::shell::quic::{self, Profile};
use countree_common::shell::server::serve;
use countree_common::shell::shutdown::Shutdown;
use countree_common::shell::tasks::{self, Instrument};
use countree_common::wire::rpc::Reply;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Each step of stopping may take this long.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// The options of a root.
#[derive(Debug, Clone)]
pub struct RootOptions {
    /// The options of every node.
    pub node: NodeOptions,
    /// The store of totals; roots of one process may share it.
    pub store: BoundStore,
}

/// The reason why a root did not start.
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
        /// The system's error.
        source: std::io::Error,
    },
    /// The registry did not take it in, or it was stopped before that.
    #[error(transparent)]
    Join(#[from] JoinError),
}

/// A running root.
#[derive(Debug)]
pub struct RootNode {
    node: Node,
    endpoint: quinn::Endpoint,
    gauges: Arc<Gauges>,
    audits: AuditResults,
    registry: RegistryHandle,
    membership: Membership,
    /// Ends the heartbeats, before the root leaves: a later one would list it again.
    heartbeat_shutdown: Shutdown,
    heartbeats: JoinSet<()>,
    /// Ends everything but the registry.
    shutdown: Shutdown,
    registry_shutdown: Shutdown,
    core: tokio::task::JoinHandle<()>,
    /// The number of open conversations.
    conversations: watch::Receiver<usize>,
}

impl RootNode {
    /// Binds, joins the cluster and begins to serve. The root is in the view when this returns. `stop` gives up.
    ///
    /// # Errors
    /// When the address is taken, the identity does not work, or the store does not answer.
    pub async fn start(options: RootOptions, stop: &Shutdown) -> Result<Self, StartError> {
        let RootOptions { node: told, store: bound_store } = options;
        let store = bound_store.store.clone();
        let server = quic::server_config(told.identity.server_tls()?, Profile::Bulk)?;
        let client = quic::client_config(told.identity.client_tls()?, Profile::Bulk)?;
        let listen = |source| StartError::Listen { address: told.quic, source };
        let endpoint = quic::node_endpoint(told.quic, server, &told.identity).map_err(listen)?;
        let bound = endpoint.local_addr().map_err(listen)?;

        let gauges = Arc::new(Gauges::default());
        let (shutdown, registry_shutdown) = (Shutdown::new(), Shutdown::new());
        let monitor = StoreMonitor::start(&bound_store, gauges.clone(), registry_shutdown.clone());
        let monitor = monitor.ok_or(JoinError::Unbound)?;
        let registry =
            registry::start(store.clone(), gauges.clone(), monitor.clone(), registry_shutdown.clone());
        let incarnation = match join(&registry, &told.name, stop).await {
            Ok(incarnation) => incarnation,
            Err(e) => {
                registry_shutdown.begin();
                return Err(e.into());
            }
        };
        let quic = told.reached_at(bound);
        let NodeOptions { cluster, name, http, leave, .. } = told;
        let node = Node { name: name.clone(), tier: Tier::Root, quic, http, incarnation };

        let (core_handle, core) =
            core::start(store.clone(), gauges.clone(), &registry, &monitor, shutdown.clone());
        let audits = AuditResults::default();
        let rpc = RpcService::new(
            core_handle.clone(),
            registry.clone(),
            store.clone(),
            gauges.clone(),
            audits.clone(),
            monitor,
            leave,
        );
        let (open, conversations) = watch::channel(0);
        let server = Server::new(core_handle, rpc.clone(), open);
        let policy = server::policy(cluster.clone());
        let handler = move |greeted| server.clone().handle(greeted);
        tasks::spawn(serve(endpoint.clone(), policy, shutdown.clone(), handler));

        let peers = Peers::new(endpoint.clone(), client, cluster, Some(name), None);
        let membership = Membership::new(peers, vec![reachable(bound).into()]);
        let root = Self {
            node,
            endpoint,
            gauges,
            audits,
            registry,
            membership,
            heartbeat_shutdown: Shutdown::new(),
            heartbeats: JoinSet::new(),
            shutdown,
            registry_shutdown,
            core,
            conversations,
        };
        match enter(&root.registry, &root.node, stop).await {
            Ok(()) => Ok(root.with_heartbeats(rpc, store)),
            Err(e) => {
                root.shutdown.begin();
                root.registry_shutdown.begin();
                root.endpoint.close(0u32.into(), b"");
                Err(e.into())
            }
        }
    }

    /// Begins to keep the root in the view.
    fn with_heartbeats(mut self, rpc: RpcService, store: Arc<AnyStore>) -> Self {
        let (node, gauges, heartbeat_shutdown) =
            (self.node.clone(), self.gauges.clone(), self.heartbeat_shutdown.clone());
        let own =
            heartbeats(node.clone(), self.registry.clone(), gauges.clone(), rpc, heartbeat_shutdown.clone());
        self.heartbeats.spawn(own.in_current_span());
        // The membership follows the view by asking roots, this one among them, as every other node does.
        let membership = self.membership.clone();
        let beats = async move { membership.heartbeats(node, || gauges.stats(), &heartbeat_shutdown).await };
        self.heartbeats.spawn(beats.in_current_span());
        let name = self.node.name.clone();
        let (membership, registry) = (self.membership.clone(), self.registry.clone());
        let splits =
            keep_splits(name.clone(), membership.clone(), registry.clone(), self.heartbeat_shutdown.clone());
        self.heartbeats.spawn(splits.in_current_span());
        let audits = self.audits.clone();
        let task = AuditTask { me: name, membership, registry, store, results: audits };
        self.heartbeats.spawn(task.run(self.heartbeat_shutdown.clone()).in_current_span());
        self
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
        self.audits.write(self.node.name.as_str(), page);
    }

    /// The reason why the root can't do its work right now, if there is one.
    pub fn trouble(&self) -> Option<String> {
        self.gauges.problem()
    }

    /// Leaves the cluster, finishes the merges under way, answers and closes. Takes a few seconds at most.
    pub async fn stop(mut self) {
        self.heartbeat_shutdown.begin();
        let silent = async { while self.heartbeats.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(STOP_TIMEOUT, silent).await;
        let leave_request = self.registry.ask(Ask::Leave(self.node.name.clone()));
        if let Ok(Reply::Failed(reason)) = tokio::time::timeout(STOP_TIMEOUT, leave_request).await {
            tracing::warn!("the root could not leave the registry; its lease will run out: {reason}");
        }
        self.shutdown.begin();
        if let Err(e) = self.core.await {
            tracing::error!("the root's core ended badly: {e}");
        }
        let _ = tokio::time::timeout(STOP_TIMEOUT, self.conversations.wait_for(|open| *open == 0)).await;
        self.registry_shutdown.begin();
        self.endpoint.close(0u32.into(), b"the root stops");
        let _ = tokio::time::timeout(STOP_TIMEOUT, self.endpoint.wait_idle()).await;
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
