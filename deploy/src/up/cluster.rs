//! The nodes of a local cluster: started from the store outwards, stopped from the leaves inwards.

use axum::Router;
use countree_broadcast::shell::{BroadcastNode, BroadcastOptions};
use countree_common::cluster::{ClusterView, NodeName, Tier};
use countree_common::config::Manifest;
use countree_common::config::manifest::TierSettings;
use countree_common::shell::access::Access;
use countree_common::shell::failure::Failure;
use countree_common::shell::http::NodeRoutes;
use countree_common::shell::identity::{Authority, Identity};
use countree_common::shell::metrics::Page;
use countree_common::shell::overview;
use countree_common::shell::shutdown::Shutdown;
use countree_leaf::shell::{LeafNode, LeafOptions};
use countree_root::shell::{RootNode, RootOptions};
use countree_root::store;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Nodes that are not ready after this long won't be without help.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
const READY_POLL: Duration = Duration::from_millis(10);

/// Every node of the manifest.
pub(super) struct LocalCluster {
    name: NodeName,
    identity: Arc<Identity>,
    access: Access,
    nodes: Arc<Nodes>,
}

/// What runs of them, from the first that starts to the last that stops.
#[derive(Default)]
pub(super) struct Nodes {
    roots: Vec<RootNode>,
    leaves: Vec<LeafNode>,
    broadcasts: Vec<BroadcastNode>,
}

/// What starting a node of any tier takes.
pub(super) struct Starter<'a> {
    manifest: &'a Manifest,
    authority: Authority,
    /// Of the HTTP port that all nodes share.
    identity: Arc<Identity>,
    folder: &'a Path,
    http: SocketAddr,
    access: Access,
}

impl<'a> Starter<'a> {
    /// Opens the cluster's own certificates in the folder.
    pub(super) fn new(
        manifest: &'a Manifest,
        folder: &'a Path,
        http: SocketAddr,
        access: Access,
    ) -> Result<Self, Failure> {
        let authority = Authority::open_or_create(&folder.join("tls"))?;
        let identity = Arc::new(authority.identity(&NodeName::new("up")?, Tier::Leaf)?);
        Ok(Self { manifest, authority, identity, folder, http, access })
    }

    /// Starts every node. `stop` gives up; `nodes` are those that run by then, and have to be stopped.
    pub(super) async fn start(&self, nodes: &mut Nodes, stop: &Shutdown) -> Result<(), Failure> {
        let (manifest, cluster) = (self.manifest, &self.manifest.cluster);
        let store = Arc::new(store::open(&cluster.store, self.folder, &cluster.name).await?);
        for index in 0..manifest.root.replicas {
            if stop.has_begun() {
                return Err(Failure::failed("stopped before every root had started"));
            }
            nodes.roots.push(self.root(index, &store).await?);
        }
        let addresses: Vec<_> = nodes.roots.iter().map(|r| r.node().quic).collect();
        for index in 0..manifest.leaf.tier.replicas {
            nodes.leaves.push(self.leaf(index, &addresses, stop).await?);
        }
        self.drain_left_behind(&addresses, stop).await?;
        for index in 0..manifest.broadcast.tier.replicas {
            nodes.broadcasts.push(self.broadcast(index, &addresses, stop).await?);
        }
        Ok(())
    }

    fn name(tier: Tier, index: u32) -> Result<NodeName, Failure> {
        Ok(NodeName::new(&format!("{tier}-{index}"))?)
    }

    fn identity(&self, name: &NodeName, tier: Tier) -> Result<Arc<Identity>, Failure> {
        Ok(Arc::new(self.authority.identity(name, tier)?))
    }

    fn quic(&self, tier: &TierSettings, index: u32) -> SocketAddr {
        let host: IpAddr = self.manifest.http.quic_host;
        // The manifest was checked to leave room for every replica's port.
        let port = if tier.quic_port == 0 { 0 } else { tier.quic_port + index as u16 };
        SocketAddr::new(host, port)
    }

    async fn root(&self, index: u32, store: &Arc<store::AnyStore>) -> Result<RootNode, Failure> {
        let name = Self::name(Tier::Root, index)?;
        let options = RootOptions {
            cluster: self.manifest.cluster.name.clone(),
            identity: self.identity(&name, Tier::Root)?,
            name,
            quic: self.quic(&self.manifest.root, index),
            advertise: None,
            http: Some(self.http),
            store: store.clone(),
        };
        Ok(RootNode::start(options).await?)
    }

    async fn leaf(&self, index: u32, roots: &[SocketAddr], stop: &Shutdown) -> Result<LeafNode, Failure> {
        let settings = &self.manifest.leaf;
        let name = Self::name(Tier::Leaf, index)?;
        let options = LeafOptions {
            cluster: self.manifest.cluster.name.clone(),
            identity: self.identity(&name, Tier::Leaf)?,
            data: self.folder.join(name.as_str()),
            name,
            quic: self.quic(&settings.tier, index),
            advertise: None,
            http: Some(self.http),
            roots: roots.to_vec(),
            window: self.manifest.cluster.window,
            retention: settings.retention,
            horizon: settings.horizon,
            log_bytes: settings.log_bytes,
            access: self.access.clone(),
        };
        Ok(LeafNode::start(options, stop).await?)
    }

    async fn broadcast(
        &self,
        index: u32,
        roots: &[SocketAddr],
        stop: &Shutdown,
    ) -> Result<BroadcastNode, Failure> {
        let settings = &self.manifest.broadcast;
        let name = Self::name(Tier::Broadcast, index)?;
        let options = BroadcastOptions {
            cluster: self.manifest.cluster.name.clone(),
            identity: self.identity(&name, Tier::Broadcast)?,
            name,
            quic: self.quic(&settings.tier, index),
            advertise: None,
            http: Some(self.http),
            roots: roots.to_vec(),
            tick: settings.tick,
            access: self.access.clone(),
        };
        Ok(BroadcastNode::start(options, stop).await?)
    }

    /// Leaves that an earlier, larger manifest left behind: what is in their logs is merged before they
    /// are put to rest, so that no count is missing.
    async fn drain_left_behind(&self, roots: &[SocketAddr], stop: &Shutdown) -> Result<(), Failure> {
        for index in self.manifest.leaf.tier.replicas..countree_common::limits::REPLICAS_MAX {
            let name = Self::name(Tier::Leaf, index)?;
            let streams = self.folder.join(name.as_str()).join("streams");
            if streams.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
                tracing::info!(leaf = %name, "not in the manifest any more: merging what its log still holds");
                self.leaf(index, roots, stop).await?.stop().await;
            }
        }
        Ok(())
    }
}

impl LocalCluster {
    /// Of nodes that have all started.
    pub(super) fn of(starter: Starter<'_>, nodes: Nodes) -> Self {
        let Starter { manifest, identity, access, .. } = starter;
        Self { name: manifest.cluster.name.clone(), identity, access, nodes: Arc::new(nodes) }
    }

    /// Returns once every node can do its work and knows every other.
    pub(super) async fn ready(&self) -> Result<(), Failure> {
        let wait = async {
            while !self.nodes.is_whole() || self.nodes.trouble().is_some() {
                tokio::time::sleep(READY_POLL).await;
            }
        };
        tokio::time::timeout(READY_TIMEOUT, wait).await.map_err(|_| {
            let trouble =
                self.nodes.trouble().unwrap_or_else(|| "not every node has found the others".into());
            Failure::failed(format!("not ready after {} s: {trouble}", READY_TIMEOUT.as_secs()))
        })
    }

    /// Everything on one port.
    pub(super) fn routes(&self) -> Router {
        let mut router = Router::new();
        if let Some(leaf) = self.nodes.leaves.first() {
            let membership = leaf.membership();
            // Routes may outlive the nodes by a moment.
            let (for_trouble, for_metrics) = (Arc::downgrade(&self.nodes), Arc::downgrade(&self.nodes));
            let node_routes = NodeRoutes {
                cluster: self.name.clone(),
                identity: self.identity.clone(),
                view: membership.view(),
                trouble: Arc::new(move || match for_trouble.upgrade() {
                    Some(nodes) => nodes.trouble(),
                    None => Some("the cluster is stopping".into()),
                }),
                metrics: Arc::new(move || {
                    for_metrics.upgrade().map(|nodes| nodes.metrics()).unwrap_or_default()
                }),
            };
            router = router
                .merge(leaf.routes())
                .merge(overview::router(membership.clone(), self.access.clone()))
                .merge(node_routes.router());
        }
        if let Some(broadcast) = self.nodes.broadcasts.first() {
            router = router.merge(broadcast.routes());
        }
        router
    }

    /// [`Nodes::stop`].
    pub(super) async fn stop(self) {
        let mut shared = self.nodes;
        let nodes = loop {
            match Arc::try_unwrap(shared) {
                Ok(nodes) => break nodes,
                // A request is just reading them.
                Err(still_shared) => shared = still_shared,
            }
            tokio::task::yield_now().await;
        };
        nodes.stop().await;
    }
}

impl Nodes {
    /// Drains from the leaves inwards, so that everything accepted is merged and shown before the end.
    pub(super) async fn stop(self) {
        let Self { roots, leaves, broadcasts } = self;
        let leaves: Vec<_> = leaves.into_iter().map(|leaf| tokio::spawn(leaf.stop())).collect();
        for leaf in leaves {
            let _ = leaf.await;
        }
        for broadcast in broadcasts {
            broadcast.stop().await;
        }
        for root in roots {
            root.stop().await;
        }
    }

    /// Why some node can't do its work, if one can't.
    fn trouble(&self) -> Option<String> {
        let roots = self.roots.iter().map(|n| (n.node(), n.trouble()));
        let leaves = self.leaves.iter().map(|n| (n.node(), n.trouble()));
        let broadcasts = self.broadcasts.iter().map(|n| (n.node(), n.trouble()));
        let mut troubles = roots.chain(leaves).chain(broadcasts).filter_map(|(n, t)| Some((n, t?)));
        troubles.next().map(|(node, trouble)| format!("{}: {trouble}", node.name))
    }

    /// Whether every node sees every other, as it is now: after a crash the registry still lists the
    /// addresses of before.
    fn is_whole(&self) -> bool {
        let roots = self.roots.iter().map(|n| (n.node(), n.membership()));
        let leaves = self.leaves.iter().map(|n| (n.node(), n.membership()));
        let broadcasts = self.broadcasts.iter().map(|n| (n.node(), n.membership()));
        let all: Vec<_> = roots.chain(leaves).chain(broadcasts).collect();
        let sees_all = |view: &ClusterView| all.iter().all(|(node, _)| view.node(&node.name) == Some(*node));
        all.iter().all(|(_, membership)| sees_all(&membership.view().borrow()))
    }

    fn metrics(&self) -> String {
        let mut page = Page::default();
        self.roots.iter().for_each(|n| n.metrics(&mut page));
        self.leaves.iter().for_each(|n| n.metrics(&mut page));
        self.broadcasts.iter().for_each(|n| n.metrics(&mut page));
        page.into_text()
    }
}
