//! Manages the nodes of a local cluster: starts them from the store outwards, stops them from the leaves inwards, and
//! starts and drains single ones while the cluster runs.

use super::child::Child;
use super::layout::Layout;
use crate::host::tier_of;
use crate::node::{Running, Start};
use axum::Router;
use countree_common::cluster::{NodeName, Tier};
use countree_common::config::manifest::Processes;
use countree_common::shell::failure::Failure;
use countree_common::shell::metrics::Page;
use countree_common::shell::node::NodeOptions;
use countree_common::shell::shutdown::Shutdown;
use countree_root::store::{self, Binding, BoundStore};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A node of the fleet.
#[derive(Clone)]
struct Member {
    tier: Tier,
    /// Asks it to leave.
    leave: Shutdown,
    /// Begins when it has left.
    gone: Shutdown,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    /// A node in this process.
    Here { node: Box<Running>, router: Router },
    /// A node in a process of its own.
    Child(Arc<Child>),
}

/// A target for HTTP requests.
pub(super) enum Backend {
    /// The routes of a node in this process.
    Here(Router),
    /// The HTTP address of a node in a process of its own.
    There(SocketAddr),
}

/// All running nodes.
pub(super) struct Fleet {
    layout: Arc<Layout>,
    /// The store that the roots of this process share; `None` when every node is a process.
    store: Option<BoundStore>,
    /// Whether to use the data folders with the store that is found, whatever it belongs to: the operator has said
    /// so.
    adopts: bool,
    members: Mutex<BTreeMap<NodeName, Member>>,
    next_leaf: AtomicUsize,
}

impl Member {
    fn quic(&self) -> Option<SocketAddr> {
        match &self.kind {
            Kind::Here { node, .. } => Some(node.listed().quic),
            Kind::Child(child) => child.quic(),
        }
    }

    fn backend(&self) -> Option<Backend> {
        match &self.kind {
            Kind::Here { router, .. } => Some(Backend::Here(router.clone())),
            Kind::Child(child) => child.http().map(Backend::There),
        }
    }
}

impl Fleet {
    /// Opens the store, which has to answer and to be this cluster's or to be adopted; no node runs yet.
    pub(super) async fn open(layout: Layout, adopts: bool) -> Result<Arc<Self>, Failure> {
        let cluster = &layout.manifest().cluster;
        let opened = store::open(&cluster.store, layout.folder(), &cluster.name).await?;
        let folder = layout.folder().to_owned();
        let binding = Binding { folder, authorities: layout.authorities()?, adopts };
        let bound = store::bind(opened, &binding).await?;
        // Roots that are processes open it themselves; opening it here shows its errors at once.
        let store = (cluster.processes == Processes::One).then_some(bound);
        let (layout, members) = (Arc::new(layout), Mutex::default());
        Ok(Arc::new(Self { layout, store, adopts, members, next_leaf: AtomicUsize::new(0) }))
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    fn members(&self) -> MutexGuard<'_, BTreeMap<NodeName, Member>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a node and returns once it is in the cluster. When `stop` begins, the start is given up.
    pub(super) async fn start(self: &Arc<Self>, name: &NodeName, stop: &Shutdown) -> Result<(), Failure> {
        let tier = tier_of(name)?;
        let leaving = self.members().get(name).map(|member| member.gone.clone());
        if let Some(leaving) = leaving {
            // Its folder is free when it has left.
            leaving.begun().await;
        }
        let (leave, gone) = (Shutdown::new(), Shutdown::new());
        let kind = match self.layout.manifest().cluster.processes {
            Processes::One => self.start_here(name, tier, (&leave, &gone, stop)).await?,
            Processes::PerNode => {
                let fleet = Arc::downgrade(self);
                let roots = move || fleet.upgrade().map(|fleet| fleet.roots()).unwrap_or_default();
                let switches = (&leave, &gone, stop);
                let adopts = self.adopts && tier == Tier::Leaf;
                Kind::Child(Child::start(self.layout.clone(), (name, tier, adopts), roots, switches).await?)
            }
        };
        self.members().insert(name.clone(), Member { tier, leave, gone: gone.clone(), kind });
        let (fleet, name) = (self.clone(), name.clone());
        tokio::spawn(async move {
            gone.begun().await;
            fleet.members().remove(&name);
        });
        Ok(())
    }

    async fn start_here(
        &self,
        name: &NodeName,
        tier: Tier,
        (leave, gone, stop): (&Shutdown, &Shutdown, &Shutdown),
    ) -> Result<Kind, Failure> {
        let (layout, access) = (&self.layout, self.layout.access());
        let config = layout.config(name, tier, None, &self.roots());
        let node = NodeOptions {
            cluster: config.cluster.name.clone(),
            name: name.clone(),
            quic: config.node.quic,
            advertise: None,
            http: config.node.http,
            identity: layout.identity(name, tier)?,
            roots: config.node.roots.clone(),
            leave: leave.clone(),
        };
        let (data, store) = (config.node.data.clone(), self.store.clone());
        let adopts = self.adopts;
        let start = Start { tier, config: &config, node, data, access: access.clone(), store, adopts };
        let node = Running::start(start, stop).await?;
        let router = node.router(&config, access.clone());
        let (leaving, leave, gone) = (node.clone(), leave.clone(), gone.clone());
        tokio::spawn(async move {
            leave.begun().await;
            leaving.stop().await;
            gone.begin();
        });
        Ok(Kind::Here { node: Box::new(node), router })
    }

    /// Asks a node to leave, and waits until it has.
    pub(super) async fn drain(&self, name: &NodeName) {
        let member = self.members().get(name).cloned();
        if let Some(member) = member {
            member.leave.begin();
            member.gone.begun().await;
            // The next caller must not find it.
            self.members().remove(name);
        }
    }

    /// Starts and drains every leaf that an earlier, larger manifest left behind with a log, so that no event is
    /// missing.
    pub(super) async fn drain_left_behind(self: &Arc<Self>, stop: &Shutdown) -> Result<(), Failure> {
        for index in self.layout.manifest().replicas(Tier::Leaf)..countree_common::limits::REPLICAS_MAX {
            let name = NodeName::new(&format!("{}-{index}", Tier::Leaf))?;
            if self.layout.has_log(&name) {
                tracing::info!(leaf = %name, "not in the manifest any more: merging what its log still holds");
                self.start(&name, stop).await?;
                self.drain(&name).await;
            }
        }
        Ok(())
    }

    /// Drains all nodes, leaves first, so that every accepted event is merged and shown before the end.
    pub(super) async fn stop(self: &Arc<Self>) {
        for tier in [Tier::Leaf, Tier::Broadcast, Tier::Root] {
            let of_tier = |(name, member): (&NodeName, &Member)| (member.tier == tier).then(|| name.clone());
            let names: Vec<_> = self.members().iter().filter_map(of_tier).collect();
            let drain = |name: NodeName| {
                let fleet = self.clone();
                tokio::spawn(async move { fleet.drain(&name).await })
            };
            let leaving: Vec<_> = names.into_iter().map(drain).collect();
            for left in leaving {
                let _ = left.await;
            }
        }
    }

    /// Names the nodes that run and are not leaving.
    pub(super) fn running(&self) -> BTreeMap<Tier, BTreeSet<NodeName>> {
        let mut running: BTreeMap<Tier, BTreeSet<NodeName>> = BTreeMap::new();
        for (name, member) in self.members().iter().filter(|(_, member)| !member.leave.has_begun()) {
            running.entry(member.tier).or_default().insert(name.clone());
        }
        running
    }

    fn roots(&self) -> Vec<SocketAddr> {
        self.members().values().filter(|m| m.tier == Tier::Root).filter_map(Member::quic).collect()
    }

    /// The target for reads: the same broadcast node as long as it runs, so that no number goes down between two
    /// reads.
    pub(super) fn reader(&self) -> Option<Backend> {
        self.backends(Tier::Broadcast).into_iter().next()
    }

    /// The target for events: the leaves in turn.
    pub(super) fn writer(&self) -> Option<Backend> {
        let mut leaves = self.backends(Tier::Leaf);
        let turn = self.next_leaf.fetch_add(1, Ordering::Relaxed);
        let at = turn.checked_rem(leaves.len())?;
        Some(leaves.swap_remove(at))
    }

    fn backends(&self, tier: Tier) -> Vec<Backend> {
        let members = self.members();
        let staying = members.values().filter(|m| m.tier == tier && !m.leave.has_begun());
        staying.filter_map(Member::backend).collect()
    }

    /// Lists the HTTP address of every node that has a process of its own; `None` while it does not run.
    pub(super) fn children(&self) -> Vec<(NodeName, Option<SocketAddr>)> {
        let members = self.members();
        let children = members.iter().filter_map(|(name, member)| match &member.kind {
            Kind::Child(child) => Some((name.clone(), child.http())),
            Kind::Here { .. } => None,
        });
        children.collect()
    }

    /// The reason that some node of this process can't do its work or does not know every other; `None` when all is
    /// well.
    pub(super) fn problem_here(&self) -> Option<String> {
        let members = self.members();
        let here = || {
            members.iter().filter_map(|(name, member)| match &member.kind {
                Kind::Here { node, .. } if !member.leave.has_begun() => Some((name, node)),
                _ => None,
            })
        };
        here().find_map(|(name, node)| {
            if let Some(problem) = node.problem() {
                return Some(format!("{name}: {problem}"));
            }
            // Compares whole entries: after a crash the registry still lists the earlier addresses.
            let view = node.view();
            let unknown = here().find(|(other, there)| view.node(other) != Some(there.listed()));
            unknown.map(|(other, _)| format!("{name} has not found {other} yet"))
        })
    }

    /// Writes the metrics of the nodes of this process.
    pub(super) fn metrics_here(&self) -> String {
        let mut page = Page::default();
        for member in self.members().values() {
            if let Kind::Here { node, .. } = &member.kind {
                node.metrics(&mut page);
            }
        }
        page.into_text()
    }
}
