//! The nodes of a local cluster: started from the store outwards, stopped from the leaves inwards, and in between
//! started and drained one by one.

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
    /// Begun when it has left.
    gone: Shutdown,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    /// In this process.
    Here { node: Box<Running>, router: Router },
    /// In one of its own.
    Child(Arc<Child>),
}

/// Where an HTTP request is answered.
pub(super) enum Desk {
    /// In this process.
    Here(Router),
    /// By a node's own process.
    There(SocketAddr),
}

/// All nodes that run.
pub(super) struct Fleet {
    layout: Arc<Layout>,
    /// Roots of this process share it. None when every node is a process.
    store: Option<BoundStore>,
    /// The operator's word to use data folders with whatever store there is.
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

    fn desk(&self) -> Option<Desk> {
        match &self.kind {
            Kind::Here { router, .. } => Some(Desk::Here(router.clone())),
            Kind::Child(child) => child.http().map(Desk::There),
        }
    }
}

impl Fleet {
    /// With no nodes yet; the store has to answer, and to be this cluster's, or to be adopted.
    pub(super) async fn open(layout: Layout, adopts: bool) -> Result<Arc<Self>, Failure> {
        let cluster = &layout.manifest().cluster;
        let opened = store::open(&cluster.store, layout.folder(), &cluster.name).await?;
        let folder = layout.folder().to_owned();
        let binding = Binding { folder, authorities: layout.authorities()?, adopts };
        let bound = store::bind(opened, &binding).await?;
        // Roots that are processes open it themselves; it was looked at here to say at once what is wrong with it.
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

    /// Starts a node and returns once it is in the cluster. `stop` gives up.
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

    /// Lets a node leave gracefully, and waits until it has.
    pub(super) async fn drain(&self, name: &NodeName) {
        let member = self.members().get(name).cloned();
        if let Some(member) = member {
            member.leave.begin();
            member.gone.begun().await;
            // Whoever looks next does not find it.
            self.members().remove(name);
        }
    }

    /// Starts every leaf that an earlier, larger manifest left behind with a log, and drains it: so no count is
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

    /// Drains all, from the leaves inwards, so that everything accepted is merged and shown before the end.
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

    /// The nodes that run and are not leaving.
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

    /// Where reads are answered: always by the same broadcast node while it runs, so that no number goes down
    /// between two reads.
    pub(super) fn reader(&self) -> Option<Desk> {
        self.desks(Tier::Broadcast).into_iter().next()
    }

    /// Where events are taken: by one leaf after another.
    pub(super) fn writer(&self) -> Option<Desk> {
        let mut leaves = self.desks(Tier::Leaf);
        let turn = self.next_leaf.fetch_add(1, Ordering::Relaxed);
        let at = turn.checked_rem(leaves.len())?;
        Some(leaves.swap_remove(at))
    }

    fn desks(&self, tier: Tier) -> Vec<Desk> {
        let members = self.members();
        let staying = members.values().filter(|m| m.tier == tier && !m.leave.has_begun());
        staying.filter_map(Member::desk).collect()
    }

    /// Every node's HTTP address, where nodes have processes of their own.
    pub(super) fn children(&self) -> Vec<(NodeName, Option<SocketAddr>)> {
        let members = self.members();
        let children = members.iter().filter_map(|(name, member)| match &member.kind {
            Kind::Child(child) => Some((name.clone(), child.http())),
            Kind::Here { .. } => None,
        });
        children.collect()
    }

    /// Why some node of this process can't do its work, or does not know every other, if so.
    pub(super) fn trouble_here(&self) -> Option<String> {
        let members = self.members();
        let here = || {
            members.iter().filter_map(|(name, member)| match &member.kind {
                Kind::Here { node, .. } if !member.leave.has_begun() => Some((name, node)),
                _ => None,
            })
        };
        here().find_map(|(name, node)| {
            if let Some(trouble) = node.trouble() {
                return Some(format!("{name}: {trouble}"));
            }
            // As they are now: after a crash the registry still lists the addresses of before.
            let view = node.view();
            let unknown = here().find(|(other, there)| view.node(other) != Some(there.listed()));
            unknown.map(|(other, _)| format!("{name} has not found {other} yet"))
        })
    }

    /// Metrics of the nodes of this process.
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
