//! Runs a node of any tier in this process: start, health, metrics, HTTP routes, stop.

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn, map_response};
use countree_broadcast::shell::{BroadcastNode, BroadcastOptions};
use countree_common::cluster::{ClusterView, Node, Tier};
use countree_common::config::node::NodeConfig;
use countree_common::shell::access::Access;
use countree_common::shell::clock;
use countree_common::shell::failure::Failure;
use countree_common::shell::http::NodeRoutes;
use countree_common::shell::identity::{Identity, fingerprints};
use countree_common::shell::membership::Membership;
use countree_common::shell::metrics::Page;
use countree_common::shell::node::NodeOptions;
use countree_common::shell::overview;
use countree_common::shell::routes::json_errors;
use countree_common::shell::shutdown::Shutdown;
use countree_leaf::shell::{LeafConfig, LeafNode, LeafOptions};
use countree_root::shell::{RootNode, RootOptions};
use countree_root::store::{self, Binding, BoundStore};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tracing::{Instrument, Span};

/// Everything that a node is started from.
pub(crate) struct Start<'a> {
    pub(crate) tier: Tier,
    /// Its settings, except name, addresses and data folder, which `node` and `data` give.
    pub(crate) config: &'a NodeConfig,
    pub(crate) node: NodeOptions,
    pub(crate) data: PathBuf,
    pub(crate) access: Access,
    /// The store, for a root that shares it with other roots of the process; `None` makes it open its own.
    pub(crate) store: Option<BoundStore>,
    /// Whether to take over the store that is found, whatever it belongs to: the operator has said so.
    pub(crate) adopts: bool,
}

/// A running node. Copies are of the same node.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    listed: Node,
    identity: Arc<Identity>,
    membership: Membership,
    node: Arc<Mutex<Option<AnyNode>>>,
    /// The span of its log lines, which names the node.
    span: Span,
}

#[derive(Debug)]
enum AnyNode {
    Leaf(LeafNode),
    Root(RootNode),
    Broadcast(BroadcastNode),
}

/// Calls the same method on a node of any tier.
macro_rules! each {
    ($node:expr, $of:ident => $call:expr) => {
        match $node {
            AnyNode::Leaf($of) => $call,
            AnyNode::Root($of) => $call,
            AnyNode::Broadcast($of) => $call,
        }
    };
}

/// Time that a root waits for its store at the start: both may start together, or after a failure of both.
const STORE_TIMEOUT: Duration = Duration::from_secs(30);

impl AnyNode {
    async fn start(start: Start<'_>, stop: &Shutdown) -> Result<Self, Failure> {
        let Start { tier, config, node, data, access, store, adopts } = start;
        let (cluster, leaf) = (&config.cluster, &config.leaf);
        Ok(match tier {
            Tier::Leaf => {
                let machine = LeafConfig {
                    leaf: node.name.clone(),
                    window: cluster.window,
                    retention: leaf.retention,
                    horizon: leaf.horizon,
                    log_bytes: leaf.log_bytes,
                    segment_bytes: LeafConfig::SEGMENT_BYTES,
                    capacity: leaf.capacity,
                };
                let options = LeafOptions { node, machine, data, adopts, access };
                Self::Leaf(LeafNode::start(options, stop).await?)
            }
            Tier::Root => {
                let store = match store {
                    Some(store) => store,
                    None => {
                        let opened =
                            store::open_within(&cluster.store, &data, &cluster.name, STORE_TIMEOUT, stop);
                        let authorities = fingerprints(node.identity.ca_pem())?;
                        let binding = Binding { folder: data.clone(), authorities, adopts };
                        store::bind(opened.await?, &binding).await?
                    }
                };
                Self::Root(RootNode::start(RootOptions { node, store }, stop).await?)
            }
            Tier::Broadcast => {
                let options = BroadcastOptions { node, tick: config.broadcast.tick, access };
                Self::Broadcast(BroadcastNode::start(options, stop).await?)
            }
        })
    }
}

impl Running {
    /// Starts a node and returns once it is in the cluster. When `stop` begins, the start is given up.
    pub(crate) async fn start(start: Start<'_>, stop: &Shutdown) -> Result<Self, Failure> {
        clock::watch_steps();
        let identity = start.node.identity.clone();
        // Of the highest level: lines of every level name their node.
        let span = tracing::error_span!("node", name = %start.node.name);
        let node = AnyNode::start(start, stop).instrument(span.clone()).await?;
        Ok(Self {
            span,
            listed: each!(&node, n => n.node().clone()),
            identity,
            membership: each!(&node, n => n.membership().clone()),
            node: Arc::new(Mutex::new(Some(node))),
        })
    }

    /// The node's entry in the view of the cluster.
    pub(crate) fn listed(&self) -> &Node {
        &self.listed
    }

    /// The cluster as the node sees it.
    pub(crate) fn view(&self) -> Arc<ClusterView> {
        self.membership.view().borrow().clone()
    }

    fn node(&self) -> MutexGuard<'_, Option<AnyNode>> {
        self.node.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The reason that it can't do its work right now; `None` when it can.
    pub(crate) fn problem(&self) -> Option<String> {
        match &*self.node() {
            Some(node) => each!(node, n => n.trouble()),
            None => Some("the node is stopping".into()),
        }
    }

    /// Writes its metrics.
    pub(crate) fn metrics(&self, page: &mut Page) {
        if let Some(node) = &*self.node() {
            each!(node, n => n.metrics(page));
            page.counter(
                "countree_clock_steps_total",
                "How often the wall clock was stepped, as far as the process saw.",
                &[("node", self.listed.name.as_str())],
                clock::steps(),
            );
        }
    }

    /// All its HTTP routes.
    pub(crate) fn router(&self, config: &NodeConfig, access: Access) -> Router {
        let span = self.span.clone();
        let own = match &*self.node() {
            Some(node) => each!(node, n => n.routes()),
            None => Router::new(),
        };
        let (for_problem, for_metrics) = (self.clone(), self.clone());
        let node_routes = NodeRoutes {
            cluster: config.cluster.name.clone(),
            identity: self.identity.clone(),
            view: self.membership.view(),
            trouble: Arc::new(move || for_problem.problem()),
            metrics: Arc::new(move || {
                let mut page = Page::default();
                for_metrics.metrics(&mut page);
                page.into_text()
            }),
        };
        own.merge(node_routes.router())
            .merge(overview::router(self.membership.clone(), access))
            .layer(map_response(json_errors))
            .layer(from_fn(move |request: Request, next: Next| next.run(request).instrument(span.clone())))
    }

    /// Drains it and takes it out of the cluster. Only the first call waits for the end of that.
    pub(crate) async fn stop(&self) {
        let node = self.node().take();
        if let Some(node) = node {
            async { each!(node, n => n.stop().await) }.instrument(self.span.clone()).await;
        }
    }
}
