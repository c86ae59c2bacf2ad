//! A leaf as a program embeds it: started, asked, stopped.

use super::calls::{Caller, Pulse};
use super::core::{self, Threads};
use super::counting::count_here;
use super::disk::{Disk, DiskError};
use super::forgets::forget_here;
use super::http::Front;
use super::inputs::{CoreHandle, Input, Latest};
use super::producers::Intake;
use super::questions::{flush_here, flush_topic};
use super::resets::reset_here;
use super::roots;
use crate::log::recovery::ends;
use crate::machine::idempotency::verdict::Verdict;
use crate::machine::{LeafConfig, LeafMachine};
use countree_common::cluster::{Node, Tier};
use countree_common::shell::access::Access;
use countree_common::shell::clock::Clock;
use countree_common::shell::folder::{DataFolder, FolderError};
use countree_common::shell::identity::IdentityError;
use countree_common::shell::membership::{JoinRefused, Joined, Membership};
use countree_common::shell::metrics::Page;
use countree_common::shell::node::NodeOptions;
use countree_common::shell::peers::Peers;
use countree_common::shell::quic::{self, Profile, StreamError};
use countree_common::shell::server::{Greeted, Policy, serve};
use countree_common::shell::shutdown::Shutdown;
use countree_common::shell::store_memory::{self, MemoryError};
use countree_common::shell::tasks;
use countree_common::store::{FolderStore, StoreId};
use countree_common::wire::codec::CodecError;
use countree_common::wire::frame::FrameKind;
use countree_common::wire::hello::Conversation;
use countree_common::wire::keys::Remembered;
use countree_common::wire::rpc::{Counted, Reply, Request, Submission, SubmitError};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A log segment is closed at about this many bytes. Larger ones repeat names and checkpoints less often;
/// smaller ones free the disk sooner.
const SEGMENT_BYTES: u64 = 128 << 20;
/// How long a stopping leaf takes to leave for good: its sums merged, what only it knows handed over. What is not by
/// then is in the log, for the next start.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(15);
/// How long it then waits for its last heartbeat.
const PULSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long it then waits for its threads; one that waits for room on the disk does not end.
const END_TIMEOUT: Duration = Duration::from_secs(2);
/// How often the leaf looks at itself, for heartbeats and metrics.
const STATS_EVERY: Duration = Duration::from_millis(250);

/// What a leaf is started with.
#[derive(Debug, Clone)]
pub struct LeafOptions {
    /// What every node is told.
    pub node: NodeOptions,
    /// Its data folder.
    pub data: PathBuf,
    /// The operator's word to use the folder with whatever store there is.
    pub adopts: bool,
    /// How long it sums before it sends up.
    pub window: Duration,
    /// How long merged records stay in the log when the store may forget.
    pub retention: Duration,
    /// How long idle sessions and idempotency keys are remembered.
    pub horizon: Duration,
    /// The most bytes of log that it keeps.
    pub log_bytes: u64,
    /// Events per second that it is meant to carry; hot items are split by their share of it.
    pub capacity: u64,
    /// Who may send.
    pub access: Access,
}

/// Why a leaf did not start. Nothing was accepted.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder can't be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The log can't be used.
    #[error("the leaf does not start on this log: {0}")]
    Disk(#[from] DiskError),
    /// The log could not be begun.
    #[error("the log could not be begun: {0}")]
    Log(#[from] CodecError),
    /// The certificates can't be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The socket or a thread could not be had.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// What the folder says of its store can't be read.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The folder belongs to another store.
    #[error(transparent)]
    Refused(#[from] JoinRefused),
    /// It was told to stop before a root had answered.
    #[error("stopped before any root had answered")]
    Stopped,
}

/// A running leaf.
#[derive(Debug)]
pub struct LeafNode {
    node: Node,
    core: CoreHandle,
    membership: Membership,
    access: Access,
    stats: Arc<Mutex<Latest>>,
    missing: usize,
    endpoint: quinn::Endpoint,
    accepting: Shutdown,
    linked: Shutdown,
    pulse: Pulse,
    intake: Intake,
    threads: Threads,
}

impl LeafNode {
    /// Recovers what earlier starts left, joins the cluster, and takes events from then on. Waits for a
    /// root to answer, since a root gives the incarnation; `stop` ends that wait.
    ///
    /// # Errors
    /// When the folder, the log, the certificates or the socket can't be used.
    pub async fn start(options: LeafOptions, stop: &Shutdown) -> Result<Self, StartError> {
        let told = &options.node;
        let folder = DataFolder::claim(&options.data, &told.cluster)?;
        let disk = Disk::open(folder, &told.name)?;
        let (reading, recovering) = (disk.clone(), std::time::Instant::now());
        let span = tracing::Span::current();
        let recovered = tokio::task::spawn_blocking(move || span.in_scope(|| reading.recover())).await;
        let (mut recovery, old) =
            recovered.map_err(|e| io_error("reading the log", io::Error::other(e)))??;
        tracing::info!(streams = old.len(), ms = recovering.elapsed().as_millis(), "recovered the log");

        let server = quic::server_config(told.identity.server_tls()?, Profile::Bulk)?;
        let endpoint = quic::node_endpoint(told.quic, server, &told.identity)
            .map_err(|e| io_error(&format!("listening for QUIC on {} (UDP)", told.quic), e))?;
        let bound = endpoint.local_addr().map_err(|e| io_error("asking for the QUIC address", e))?;
        let client = quic::client_config(told.identity.client_tls()?, Profile::Bulk)?;
        let name = told.name.clone();
        let peers = Peers::new(endpoint.clone(), client, told.cluster.clone(), Some(name.clone()), None);
        let membership = Membership::new(peers, told.roots.clone());
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
        let machine = LeafMachine::new(options.machine(), incarnation, &recovery.carried, old, clock.now())?;
        let pulse = Pulse::default();
        let caller = Caller { membership: membership.clone(), pulse: pulse.clone() };
        let (core, threads) = core::start(machine, incarnation, clock, disk, caller)
            .map_err(|e| io_error("starting the leaf's threads", e))?;
        let node =
            Node { name, tier: Tier::Leaf, quic: told.reached_at(bound), http: told.http, incarnation };
        let stats = Arc::default();
        let (accepting, linked) = (Shutdown::new(), Shutdown::new());
        let leaf = Self {
            node,
            intake: Intake::new(core.clone()),
            core,
            membership,
            access: options.access.clone(),
            stats,
            missing: missing.len(),
            endpoint,
            accepting,
            linked,
            pulse,
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
        let (intake, core) = (self.intake.clone(), self.core.clone());
        let leave = options.node.leave.clone();
        let handle = move |greeted: Greeted| {
            let (intake, core, leave) = (intake.clone(), core.clone(), leave.clone());
            async move {
                match greeted.conversation {
                    Conversation::Produce => intake.converse(greeted).await,
                    _ => answer(greeted, &core, &leave).await,
                }
            }
        };
        tasks::spawn(serve(self.endpoint.clone(), policy, self.accepting.clone(), handle));
    }

    fn join_in(&self, store: Option<StoreId>) {
        tasks::spawn(roots::run(self.membership.clone(), self.core.clone(), store, self.linked.clone()));
        tasks::spawn(watch_stats(self.core.clone(), self.stats.clone(), self.linked.clone()));
        let (membership, node) = (self.membership.clone(), self.node.clone());
        let (stats, pulse) = (self.stats.clone(), self.pulse.clone());
        tasks::spawn(async move {
            let latest = || {
                let Latest { stats, reached, .. } =
                    stats.lock().unwrap_or_else(PoisonError::into_inner).clone();
                (stats, reached)
            };
            pulse.beat(&membership, node, latest).await;
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
        Front::new(name, self.core.clone(), self.membership.clone(), self.access.clone()).router()
    }

    /// Why it can't do its work right now, if it can't.
    pub fn trouble(&self) -> Option<String> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner).stats.trouble.clone()
    }

    /// Its metrics, as of a moment ago.
    pub fn metrics(&self, page: &mut Page) {
        let Latest { stats, imbalances, .. } =
            self.stats.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let labels = [("node", self.node.name.as_str())];
        page.gauge(
            "countree_leaf_events_per_second",
            "Events accepted, over the last second.",
            &labels,
            stats.events_per_s,
        );
        page.gauge("countree_leaf_lag_milliseconds", "Age of what is not merged yet.", &labels, stats.lag_ms);
        page.gauge("countree_leaf_producers", "Connected producers.", &labels, stats.connections);
        page.gauge("countree_leaf_counters", "Counters in memory.", &labels, stats.entries);
        page.gauge("countree_leaf_log_bytes", "Bytes of the live stream's log.", &labels, stats.log_bytes);
        page.gauge(
            "countree_leaf_missing_streams",
            "Streams that should have been in the log when the leaf started, and were not.",
            &labels,
            self.missing as f64,
        );
        page.counter(
            "countree_leaf_imbalances_total",
            "Merges whose count was not the leaf's own.",
            &labels,
            imbalances,
        );
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
                let _ = tokio::time::timeout(PULSE_TIMEOUT, self.pulse.end()).await;
                self.membership.leave(leaf).await;
            }
        }
        self.accepting.begin();
        self.linked.begin();
        self.core.tell(Input::End).await;
        self.intake.ended().await;
        self.endpoint.close(0u32.into(), b"the leaf has stopped");
        self.endpoint.wait_idle().await;
        if tokio::time::timeout(END_TIMEOUT, self.threads.ended()).await.is_err() {
            tracing::warn!(leaf = %self.node.name, "the log is still being written; the data folder stays held");
        }
    }
}

impl LeafOptions {
    fn machine(&self) -> LeafConfig {
        LeafConfig {
            leaf: self.node.name.clone(),
            window: self.window,
            horizon: self.horizon,
            retention: self.retention,
            log_bytes: self.log_bytes,
            segment_bytes: SEGMENT_BYTES,
            capacity: self.capacity,
        }
    }
}

fn io_error(what: &str, source: io::Error) -> StartError {
    StartError::Io { what: what.to_owned(), source }
}

/// Answers one question of another node.
async fn answer(greeted: Greeted, core: &CoreHandle, leave: &Shutdown) -> Result<(), StreamError> {
    let Greeted { mut sender, mut receiver, .. } = greeted;
    let Some(request) = receiver.message().await? else { return Ok(()) };
    let stopping = || Reply::Failed("the leaf is stopping".into());
    let reply = match request {
        Request::Ledgers => core.ask(Input::Ledgers).await.map_or_else(stopping, Reply::Ledgers),
        Request::ProbeTopics if core.tell(Input::AskAgain).await => Reply::Done,
        Request::ProbeTopics => stopping(),
        Request::Positions(stream) => {
            let positions = core.ask(|reply| Input::Positions { stream, reply }).await;
            positions.map_or_else(stopping, Reply::Positions)
        }
        Request::Flush { topic, by, read } => flush_here(core, topic, by, read).await,
        Request::FlushTopic { topic, read } => flush_topic(core, topic, read).await,
        Request::LookUpKeys { keys, epoch } => {
            core.ask(|reply| Input::Recall { keys, epoch, reply }).await.unwrap_or_else(stopping)
        }
        Request::AttemptOutcomes(attempts) => {
            core.ask(|reply| Input::Attempts { attempts, reply }).await.unwrap_or_else(stopping)
        }
        Request::NoteAttempt { keys, by } => {
            core.ask(|reply| Input::Note { keys, by, reply }).await.unwrap_or_else(stopping)
        }
        Request::Drain => {
            leave.begin();
            Reply::Done
        }
        Request::Reset(reset) => Reply::Submitted(reset_here(core, reset).await),
        Request::ForgetTopic(topic) => Reply::TopicForgotten(forget_here(core, topic).await),
        Request::Count(submission) => Reply::Counted(count_for_another(core, submission).await),
        Request::TakeOverKeys(keys) => take_over(core, keys).await,
        other => Reply::Failed(format!("a leaf does not answer {other:?}")),
    };
    sender.send(FrameKind::Message, &reply).await?;
    sender.finish();
    Ok(())
}

/// Counts what another leaf was sent.
async fn count_for_another(core: &CoreHandle, submission: Submission) -> Result<Counted, SubmitError> {
    Verdict::default().hear(count_here(core, submission).await)
}

async fn take_over(core: &CoreHandle, keys: Vec<Remembered>) -> Reply {
    match core.ask(|reply| Input::Inherit { keys, reply }).await {
        Some(Ok(_)) => Reply::Done,
        Some(Err(e)) => Reply::Failed(e.to_string()),
        None => Reply::Failed("the leaf is stopping".into()),
    }
}

async fn watch_stats(core: CoreHandle, stats: Arc<Mutex<Latest>>, shutdown: Shutdown) {
    while !shutdown.has_begun() {
        let Some(latest) = core.ask(Input::Stats).await else { return };
        *stats.lock().unwrap_or_else(PoisonError::into_inner) = latest;
        tokio::select! {
            () = tokio::time::sleep(STATS_EVERY) => {}
            () = shutdown.begun() => {}
        }
    }
}
