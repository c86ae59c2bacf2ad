//! Embeds a leaf in a program: starts it, asks it, stops it.

use super::calls::{Caller, Heartbeats};
use super::core::{self, Threads};
use super::disk::Disk;
use super::http;
use super::http_state::HttpState;
use super::inputs::{CoreHandle, Input};
use super::producers::ProducerConversations;
use super::roots;
use super::rpc;
use super::start_error::StartError;
use super::stats::Stats;
use crate::log::recovery::ends;
use crate::machine::{LeafConfig, LeafMachine};
use countree_common::cluster::{Node, Tier};
use countree_common::shell::access::Access;
use countree_common::shell::clock::Clock;
use countree_common::shell::folder::DataFolder;
use countree_common::shell::membership::{Joined, Membership};
use countree_common::shell::metrics::Page;
use countree_common::shell::node::NodeOptions;
use countree_common::shell::peers::Peers;
use countree_common::shell::quic::{self, Profile};
use countree_common::shell::server::{Greeted, Policy, serve};
use countree_common::shell::shutdown::Shutdown;
use countree_common::shell::store_memory;
use countree_common::shell::tasks;
use countree_common::store::{FolderStore, StoreId};
use countree_common::wire::hello::Conversation;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The time that a stopping leaf has to leave for good: its sums merged, the knowledge that only it has handed over.
/// The rest is in the log, for the next start.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(15);
/// The wait for its last heartbeat after that.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(2);
/// The wait for its threads after that; one that waits for room on the disk does not end.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// The options of a leaf's start.
#[derive(Debug, Clone)]
pub struct LeafOptions {
    /// The options of every node.
    pub node: NodeOptions,
    /// The settings of its machine, under the same name.
    pub machine: LeafConfig,
    /// Its data folder.
    pub data: PathBuf,
    /// The operator's word to use the folder with whatever store there is.
    pub adopts: bool,
    /// The rule by which clients may send and reset.
    pub access: Access,
}

/// A running leaf.
#[derive(Debug)]
pub struct LeafNode {
    node: Node,
    core: CoreHandle,
    membership: Membership,
    access: Access,
    stats: Stats,
    missing: usize,
    endpoint: quinn::Endpoint,
    accepting: Shutdown,
    linked: Shutdown,
    heartbeats: Heartbeats,
    producers: ProducerConversations,
    threads: Threads,
}

impl LeafNode {
    /// Recovers what earlier starts left, joins the cluster, and takes events from then on. Waits for a
    /// root to answer, since a root gives the incarnation; `stop` ends that wait.
    ///
    /// # Errors
    /// When the folder, the log, the certificates or the socket can't be used.
    pub async fn start(options: LeafOptions, stop: &Shutdown) -> Result<Self, StartError> {
        let node_options = &options.node;
        let folder = DataFolder::claim(&options.data, &node_options.cluster)?;
        let disk = Disk::open(folder, &node_options.name)?;
        let (reading, recovering) = (disk.clone(), std::time::Instant::now());
        let span = tracing::Span::current();
        let recovered = tokio::task::spawn_blocking(move || span.in_scope(|| reading.recover())).await;
        let (mut recovery, old) =
            recovered.map_err(|e| StartError::io("reading the log", io::Error::other(e)))??;
        tracing::info!(streams = old.len(), ms = recovering.elapsed().as_millis(), "recovered the log");

        let server = quic::server_config(node_options.identity.server_tls()?, Profile::Bulk)?;
        let endpoint = quic::node_endpoint(node_options.quic, server, &node_options.identity)
            .map_err(|e| StartError::io(&format!("listening for QUIC on {} (UDP)", node_options.quic), e))?;
        let bound = endpoint.local_addr().map_err(|e| StartError::io("asking for the QUIC address", e))?;
        let client = quic::client_config(node_options.identity.client_tls()?, Profile::Bulk)?;
        let name = node_options.name.clone();
        let peers =
            Peers::new(endpoint.clone(), client, node_options.cluster.clone(), Some(name.clone()), None);
        let membership = Membership::new(peers, node_options.roots.clone());
        let memory = store_memory::recall(&options.data)?;
        let known = memory.as_ref().map(|memory| (memory.id, memory.start));
        let belongs = FolderStore { known, adopts: options.adopts };
        let joined = membership.join_on_log(&name, ends(&old), belongs, stop).await?;
        let Joined { incarnation, missing, store } = joined.ok_or(StartError::Stopped)?;
        if let Some(admission) = store {
            let memory = recovery.carried.belong(&admission, memory.as_ref());
            if let Err(e) = store_memory::remember(&options.data, &memory) {
                tracing::warn!("the data folder does not remember its store: {e}");
            }
        }
        recovery.carried.note_missing(&missing);
        for stream in &missing {
            tracing::error!(
                %stream,
                "the log of this stream is missing here, or too short: acked events may be lost, and keys of before are \
                 in doubt. Bring the right data folder back, or give up what is missing with countree drain {name} --dead"
            );
        }

        disk.create(incarnation)?;
        let clock = Clock::start();
        let machine =
            LeafMachine::new(options.machine.clone(), incarnation, &recovery.carried, old, clock.now())?;
        let heartbeats = Heartbeats::default();
        let caller = Caller { membership: membership.clone(), heartbeats: heartbeats.clone() };
        let (core, threads) = core::start(machine, incarnation, clock, disk, caller)
            .map_err(|e| StartError::io("starting the leaf's threads", e))?;
        let node = Node {
            name,
            tier: Tier::Leaf,
            quic: node_options.reached_at(bound),
            http: node_options.http,
            incarnation,
        };
        let stats = Stats::default();
        let (accepting, linked) = (Shutdown::new(), Shutdown::new());
        let leaf = Self {
            node,
            producers: ProducerConversations::new(core.clone()),
            core,
            membership,
            access: options.access.clone(),
            stats,
            missing: missing.len(),
            endpoint,
            accepting,
            linked,
            heartbeats,
            threads,
        };
        leaf.join_in(store.map(|store| store.id));
        // Nothing is accepted before the cluster lists the leaf: a reset asks every leaf that it lists.
        tokio::select! {
            () = leaf.listed() => {}
            () = stop.begun() => return Err(StartError::Stopped),
        }
        leaf.accept(&options);
        Ok(leaf)
    }

    /// Returns once the cluster lists this start of the leaf.
    async fn listed(&self) {
        let mut view = self.membership.view();
        // The sender lives as long as the membership.
        let _ = view.wait_for(|view| view.node(&self.node.name) == Some(&self.node)).await;
    }

    fn accept(&self, options: &LeafOptions) {
        let access = options.access.clone();
        let policy = Policy {
            cluster: options.node.cluster.clone(),
            tier: Tier::Leaf,
            conversations: &[Conversation::Produce, Conversation::Rpc],
            admission: Arc::new(move |hello| access.check_hello(hello)),
        };
        let (producers, core) = (self.producers.clone(), self.core.clone());
        let leave = options.node.leave.clone();
        let handle = move |greeted: Greeted| {
            let (producers, core, leave) = (producers.clone(), core.clone(), leave.clone());
            async move {
                match greeted.conversation {
                    Conversation::Produce => producers.converse(greeted).await,
                    _ => rpc::answer(greeted, &core, &leave).await,
                }
            }
        };
        tasks::spawn(serve(self.endpoint.clone(), policy, self.accepting.clone(), handle));
    }

    fn join_in(&self, store: Option<StoreId>) {
        tasks::spawn(roots::run(self.membership.clone(), self.core.clone(), store, self.linked.clone()));
        tasks::spawn(self.stats.clone().watch(self.core.clone(), self.linked.clone()));
        let (membership, node) = (self.membership.clone(), self.node.clone());
        let (stats, heartbeats) = (self.stats.clone(), self.heartbeats.clone());
        tasks::spawn(async move {
            let latest = || stats.for_heartbeat();
            heartbeats.beat(&membership, node, latest).await;
        });
    }

    /// The node as the cluster sees it.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Its place in the cluster.
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// `POST /v1/events` and `DELETE /v1/topics/{topic}`.
    pub fn routes(&self) -> axum::Router {
        let name = self.node.name.clone();
        http::router(HttpState::new(name, self.core.clone(), self.membership.clone(), self.access.clone()))
    }

    /// The reason why the leaf can't do its work right now, if there is one.
    pub fn trouble(&self) -> Option<String> {
        self.stats.trouble()
    }

    /// Its metrics, as of a moment ago.
    pub fn metrics(&self, page: &mut Page) {
        self.stats.write_metrics(&self.node.name, self.missing, page);
    }

    /// Takes nothing more, waits until the cluster has all that this leaf knows, leaves, and lets go of the data
    /// folder. Takes some 20 s at most: what was not merged or handed over by then is on disk for the next start.
    pub async fn stop(self) {
        let leaf = &self.node.name;
        match tokio::time::timeout(LEAVE_TIMEOUT, self.core.ask(Input::Drain)).await {
            Ok(Some(false)) => {
                tracing::info!(%leaf, "left the cluster; nothing on its disk is needed any more");
            }
            Ok(Some(true)) => tracing::warn!(
                %leaf,
                "left as the last leaf: keep its data folder, its idempotency keys are nowhere else"
            ),
            Ok(None) | Err(_) => {
                tracing::warn!(
                    %leaf,
                    "not everything could be merged and handed over in time: keep the leaf's data folder and \
                     start it again"
                );
                let _ = tokio::time::timeout(HEARTBEAT_TIMEOUT, self.heartbeats.end()).await;
                self.membership.leave(leaf).await;
            }
        }
        self.accepting.begin();
        self.linked.begin();
        self.core.tell(Input::End).await;
        self.producers.ended().await;
        self.endpoint.close(0u32.into(), b"the leaf has stopped");
        self.endpoint.wait_idle().await;
        if tokio::time::timeout(END_TIMEOUT, self.threads.ended()).await.is_err() {
            tracing::warn!(leaf = %self.node.name, "the log is still being written; the data folder stays held");
        }
    }
}
