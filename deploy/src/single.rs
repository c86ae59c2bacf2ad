//! `countree leaf|root|broadcast`: one node, for containers.

use crate::arguments::NodeArguments;
use crate::ending;
use crate::host;
use crate::report::Report;
use axum::Router;
use countree_broadcast::shell::{BroadcastNode, BroadcastOptions};
use countree_common::cluster::{Node, Tier};
use countree_common::config::node::NodeConfig;
use countree_common::shell::access::Access;
use countree_common::shell::failure::Failure;
use countree_common::shell::http::NodeRoutes;
use countree_common::shell::identity::Identity;
use countree_common::shell::membership::Membership;
use countree_common::shell::metrics::Page;
use countree_common::shell::overview;
use countree_common::shell::shutdown::Shutdown;
use countree_leaf::shell::{LeafNode, LeafOptions};
use countree_root::shell::{RootNode, RootOptions};
use countree_root::store;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// A node of any tier.
enum Single {
    Leaf(LeafNode),
    Root(RootNode),
    Broadcast(BroadcastNode),
}

/// Runs until SIGINT or SIGTERM, and then drains.
pub(crate) async fn run(tier: Tier, arguments: NodeArguments, report: Report) -> Result<(), Failure> {
    let config = read_config(&arguments)?;
    let named = host::tier_of(&config.node.name)?;
    if named != tier {
        return Err(Failure::wrong(format!(
            "node.name = {} names a {named} node, and this is a {tier}",
            config.node.name
        )));
    }
    let access = host::access(&config.auth)?;
    let identity = Arc::new(Identity::load(&config.node.certificates, &config.node.name)?);
    let stop = ending::on_signal();
    // Taken before the node joins: the cluster lists only addresses that are there.
    let listener = match config.node.http {
        Some(address) => Some(host::bind_http(address).await?),
        None => None,
    };
    let http = listener.as_ref().map(|l| l.local_addr()).transpose()?;
    let starting = Single::start(tier, &config, http, identity.clone(), access.clone(), &stop);
    let node = match ending::see_through(starting, &stop).await {
        Some(Ok(node)) => node,
        Some(Err(failure)) if !stop.has_begun() => return Err(failure),
        _ => return Ok(()),
    };
    if stop.has_begun() {
        node.stop().await;
        return Ok(());
    }
    let web = Shutdown::new();
    let described = node.node().clone();
    let node = Arc::new(Mutex::new(Some(node)));
    if let Some(listener) = listener {
        crate::web::serve(listener, routes(&node, &config, identity, access), web.clone());
    }
    let Node { name, quic, http, .. } = &described;
    let value = serde_json::json!({ "ready": true, "node": name, "quic": quic, "http": http });
    report.print(&value, || format!("ready: {name} at {quic} (QUIC)"));
    stop.begun().await;
    web.begin();
    let node = node.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(node) = node {
        node.stop().await;
    }
    Ok(())
}

fn read_config(arguments: &NodeArguments) -> Result<NodeConfig, Failure> {
    let text = match &arguments.config {
        None => String::new(),
        Some(path) => {
            std::fs::read_to_string(path).map_err(|e| Failure::wrong(format!("{}: {e}", path.display())))?
        }
    };
    NodeConfig::parse(&text, &|name| std::env::var(name).ok()).map_err(Failure::wrong)
}

fn routes(
    node: &Arc<Mutex<Option<Single>>>,
    config: &NodeConfig,
    identity: Arc<Identity>,
    access: Access,
) -> Router {
    let ask = |node: &Arc<Mutex<Option<Single>>>| {
        let node = node.clone();
        move || {
            node.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|n| (n.trouble(), n.metrics()))
        }
    };
    let (for_trouble, for_metrics) = (ask(node), ask(node));
    let guard = node.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(single) = guard.as_ref() else { return Router::new() };
    let node_routes = NodeRoutes {
        cluster: config.cluster.name.clone(),
        identity,
        view: single.membership().view(),
        trouble: Arc::new(move || {
            for_trouble().map_or(Some("the node is stopping".into()), |(trouble, _)| trouble)
        }),
        metrics: Arc::new(move || for_metrics().map(|(_, metrics)| metrics).unwrap_or_default()),
    };
    let router = node_routes.router().merge(single.routes());
    router.merge(overview::router(single.membership().clone(), access))
}

impl Single {
    async fn start(
        tier: Tier,
        config: &NodeConfig,
        http: Option<SocketAddr>,
        identity: Arc<Identity>,
        access: Access,
        stop: &Shutdown,
    ) -> Result<Self, Failure> {
        let (cluster, node) = (&config.cluster, &config.node);
        let (name, quic, advertise) = (node.name.clone(), node.quic, node.advertise);
        let (cluster_name, roots) = (cluster.name.clone(), node.roots.clone());
        if tier != Tier::Root && roots.is_empty() {
            return Err(Failure::wrong("node.roots is missing: it takes the addresses of one or more roots"));
        }
        Ok(match tier {
            Tier::Leaf => {
                let options = LeafOptions {
                    cluster: cluster_name,
                    name,
                    quic,
                    advertise,
                    http,
                    identity,
                    roots,
                    data: node.data.clone(),
                    window: cluster.window,
                    retention: config.leaf.retention,
                    horizon: config.leaf.horizon,
                    log_bytes: config.leaf.log_bytes,
                    access,
                };
                Self::Leaf(LeafNode::start(options, stop).await?)
            }
            Tier::Root => {
                let store = Arc::new(store::open(&cluster.store, &node.data, &cluster_name).await?);
                let options =
                    RootOptions { cluster: cluster_name, name, quic, advertise, http, identity, store };
                Self::Root(RootNode::start(options).await?)
            }
            Tier::Broadcast => {
                let tick = config.broadcast.tick;
                let options = BroadcastOptions {
                    cluster: cluster_name,
                    name,
                    quic,
                    advertise,
                    http,
                    identity,
                    roots,
                    tick,
                    access,
                };
                Self::Broadcast(BroadcastNode::start(options, stop).await?)
            }
        })
    }

    fn node(&self) -> &Node {
        match self {
            Self::Leaf(leaf) => leaf.node(),
            Self::Root(root) => root.node(),
            Self::Broadcast(broadcast) => broadcast.node(),
        }
    }

    fn membership(&self) -> &Membership {
        match self {
            Self::Leaf(leaf) => leaf.membership(),
            Self::Root(root) => root.membership(),
            Self::Broadcast(broadcast) => broadcast.membership(),
        }
    }

    fn routes(&self) -> Router {
        match self {
            Self::Leaf(leaf) => leaf.routes(),
            Self::Root(root) => root.routes(),
            Self::Broadcast(broadcast) => broadcast.routes(),
        }
    }

    fn trouble(&self) -> Option<String> {
        match self {
            Self::Leaf(leaf) => leaf.trouble(),
            Self::Root(root) => root.trouble(),
            Self::Broadcast(broadcast) => broadcast.trouble(),
        }
    }

    fn metrics(&self) -> String {
        let mut page = Page::default();
        match self {
            Self::Leaf(leaf) => leaf.metrics(&mut page),
            Self::Root(root) => root.metrics(&mut page),
            Self::Broadcast(broadcast) => broadcast.metrics(&mut page),
        }
        page.into_text()
    }

    async fn stop(self) {
        match self {
            Self::Leaf(leaf) => leaf.stop().await,
            Self::Root(root) => root.stop().await,
            Self::Broadcast(broadcast) => broadcast.stop().await,
        }
    }
}
