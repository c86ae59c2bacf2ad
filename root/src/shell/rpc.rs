//! Answers short conversations: one request, one reply.

use super::auditing::AuditResults;
use super::core::{CoreHandle, Finished};
use super::gauges::Gauges;
use super::health::Work;
use super::importing;
use super::outbox::SNAPSHOT_PART_BYTES;
use super::registry::RegistryHandle;
use super::store_monitor::StoreMonitor;
use crate::machine::registry::registrar::Ask;
use crate::store::embedded::Backup;
use crate::store::{AnyStore, Cursor, Page, Store, StoreError};
use countree_common::cluster::{NodeName, Tier};
use countree_common::document::{Snapshot, Version};
use countree_common::forget::{ForgetOutcome, Tombstone};
use countree_common::key::Topic;
use countree_common::limits::SESSIONS_PER_MESSAGE;
use countree_common::shell::membership::LEASE;
use countree_common::shell::quic::{FrameReceiver, FrameSender, StreamError};
use countree_common::shell::shutdown::Shutdown;
use countree_common::store::FolderStore;
use countree_common::stream::StreamId;
use countree_common::wire::frame::FrameKind;
use countree_common::wire::publish::snapshot_parts;
use countree_common::wire::rpc::{
    KeyHandover, LogEnd, NodeStats, Question, Reply, Request, SessionTable, TOPICS_LISTED, TOPICS_SCANNED,
};
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Topics that are read for questions at a time.
const READS_AT_ONCE: usize = 32;
/// The question has to follow the greeting within this.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(10);

/// Answers requests from other nodes and from tools.
#[derive(Debug, Clone)]
pub(super) struct RpcService {
    core: CoreHandle,
    registry: RegistryHandle,
    store: Arc<AnyStore>,
    gauges: Arc<Gauges>,
    stats: Arc<Mutex<BTreeMap<NodeName, (NodeStats, Instant)>>>,
    reads: Arc<Semaphore>,
    audits: AuditResults,
    monitor: StoreMonitor,
    leave: Shutdown,
}

impl RpcService {
    /// `leave` is thrown when the root is asked to leave.
    pub(super) fn new(
        core: CoreHandle,
        registry: RegistryHandle,
        store: Arc<AnyStore>,
        gauges: Arc<Gauges>,
        audits: AuditResults,
        monitor: StoreMonitor,
        leave: Shutdown,
    ) -> Self {
        let reads = Arc::new(Semaphore::new(READS_AT_ONCE));
        Self { core, registry, store, gauges, stats: Arc::default(), reads, audits, monitor, leave }
    }

    /// Answers one question of `peer`.
    pub(super) async fn answer(
        &self,
        peer: &NodeName,
        mut sender: FrameSender,
        mut receiver: FrameReceiver,
    ) -> Result<(), StreamError> {
        let question = tokio::time::timeout(QUESTION_TIMEOUT, receiver.message::<Question>()).await;
        let Ok(Some(question)) = question.map_err(|_| StreamError::Ended)? else {
            return Err(StreamError::Ended);
        };
        let replies = match self.admit(peer, &question) {
            Ok(()) => self.replies(peer, question.request).await,
            Err(reason) => vec![Reply::OtherStore(reason)],
        };
        for reply in replies {
            sender.send(FrameKind::Message, &reply).await?;
        }
        sender.finish();
        Ok(())
    }

    /// A node that has joined with another store is not answered: it would take these totals for those that it knows.
    fn admit(&self, peer: &NodeName, question: &Question) -> Result<(), String> {
        let Some(theirs) = question.store else { return Ok(()) };
        if matches!(question.request, Request::LeafHeartbeat { .. }) {
            self.monitor.note_leaf(
                peer,
                theirs,
                self.registry.view().borrow().tier(Tier::Leaf).next().is_some(),
            );
        }
        self.monitor.admit_question(peer, theirs)
    }

    async fn replies(&self, peer: &NodeName, request: Request) -> Vec<Reply> {
        let not_yours = |name: &NodeName| {
            vec![Reply::Failed(format!("the certificate says {peer}: it can't speak for {name}"))]
        };
        let fence = self.monitor.fence().borrow().clone();
        if let Some(reason) = fence.filter(|_| needs_store(&request)) {
            return vec![Reply::Failed(reason)];
        }
        match request {
            Request::Join { name, .. } | Request::JoinOnLog { leaf: name, .. } if name != *peer => {
                not_yours(&name)
            }
            Request::Heartbeat { node, .. } | Request::LeafHeartbeat { node, .. } if node.name != *peer => {
                not_yours(&node.name)
            }
            Request::Leave(name) if name != *peer => not_yours(&name),
            Request::DrainedWithoutEpoch { leaf, .. } if leaf != *peer => not_yours(&leaf),
            Request::Drained { stream, .. } if stream.leaf != *peer => not_yours(&stream.leaf),
            Request::Join { name, tier, at_least } => {
                vec![match self.registry.ask(Ask::Join { name, tier, at_least }).await {
                    Reply::Joined { incarnation, .. } => {
                        Reply::Joined { incarnation, store: Some(self.monitor.served()) }
                    }
                    other => other,
                }]
            }
            Request::JoinOnLog { leaf, log, store } => vec![self.join_on_log(leaf, log, &store).await],
            Request::StoreStatus => vec![Reply::StoreStatus(self.monitor.problem())],
            Request::AcknowledgeStore => vec![self.monitor.acknowledge().await],
            Request::Heartbeat { node, stats, epoch } => {
                self.note_stats(node.name.clone(), stats);
                vec![self.registry.ask(Ask::Heartbeat { node, epoch, reached: None }).await]
            }
            Request::LeafHeartbeat { node, stats, epoch, progress } => {
                self.note_stats(node.name.clone(), stats);
                vec![self.registry.ask(Ask::Heartbeat { node, epoch, reached: Some(progress) }).await]
            }
            Request::Leave(name) => vec![self.registry.ask(Ask::Leave(name)).await],
            Request::Read(topic) => self.read(&topic).await,
            Request::Topics => vec![self.topics().await],
            Request::Stats => vec![Reply::Stats(self.stats())],
            Request::Ledgers => vec![self.registry.ask(Ask::Ledgers).await],
            Request::Retire(ledgers) => match ledgers.iter().find(|of| of.stream.leaf != *peer) {
                Some(foreign) => not_yours(&foreign.stream.leaf),
                None => vec![self.registry.ask(Ask::Retire(ledgers)).await],
            },
            Request::Drained { stream, handover } => {
                vec![self.registry.ask(Ask::Settled { stream, handover }).await]
            }
            Request::DrainedWithoutEpoch { leaf, incarnation, successors } => {
                // It does not say when it saw them: they are taken to be those of now.
                let handover = KeyHandover { successors, epoch: u64::MAX, is_empty: false };
                let stream = StreamId { leaf, incarnation };
                match self.registry.ask(Ask::Settled { stream, handover }).await {
                    Reply::Drained { .. } => vec![Reply::Done],
                    refused => vec![refused],
                }
            }
            Request::Forget(leaf) => vec![self.registry.ask(Ask::Forget(leaf)).await],
            Request::Members => {
                let mut reply = self.registry.ask(Ask::Members).await;
                if let Reply::Members { away, .. } = &mut reply {
                    self.monitor.name_foreign(away);
                }
                vec![reply]
            }
            Request::AuditRecords => vec![self.registry.ask(Ask::AuditRecords).await],
            Request::Check { full } => vec![self.audits.answer(full, &self.registry).await],
            Request::Flush { .. }
            | Request::FlushTopic { .. }
            | Request::Reset(_)
            | Request::LookUpKeys { .. }
            | Request::AttemptOutcomes(_)
            | Request::NoteAttempt { .. }
            | Request::TakeOverKeys(_)
            | Request::ProbeTopics
            | Request::ForgetTopic(_)
            | Request::Positions(_) => vec![Reply::Failed("that is a leaf's to do".into())],
            Request::Drain => {
                self.leave.begin();
                vec![Reply::Done]
            }
            Request::Publish(table) if table.leaf != *peer => not_yours(&table.leaf),
            Request::Publish(table) => vec![self.publish(table).await],
            Request::SessionEnd { leaf, session } => {
                let last = self.store.ended(&leaf, session).await;
                vec![self.answered(Work::Reading, last.map(Reply::SessionEnd))]
            }
            Request::Count(_) => {
                vec![Reply::Failed("a root takes no events: send them to a leaf".into())]
            }
            Request::Import(part) => vec![match importing::ask(&part) {
                Some(ask) => self.registry.ask(ask).await,
                None => importing::put(&self.store, &self.core, &part).await,
            }],
            Request::BackUp { folder, id } => vec![self.back_up(&folder, &id)],
            Request::ForgetAt { topic, at } => vec![self.forget(topic, at).await],
            Request::Scan { after, limit } => vec![self.scan(after, limit).await],
        }
    }

    /// A leaf joins, if its folder belongs to this store.
    async fn join_on_log(&self, leaf: NodeName, log: Vec<LogEnd>, folder: &FolderStore) -> Reply {
        let admission = match self.monitor.admit(folder) {
            Ok(admission) => admission,
            Err(reason) => return Reply::Refused(reason),
        };
        match self.registry.ask(Ask::JoinOnLog { leaf, log }).await {
            Reply::JoinedOnLog { incarnation, missing, .. } => {
                Reply::JoinedOnLog { incarnation, missing, store: Some(admission) }
            }
            other => other,
        }
    }

    /// Keeps a node's figures.
    pub(super) fn note_stats(&self, name: NodeName, stats: NodeStats) {
        let view = self.registry.view().borrow().clone();
        let mut known = self.stats.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() > view.nodes.len() {
            known.retain(|name, _| view.node(name).is_some());
        }
        known.insert(name, (stats, Instant::now()));
    }

    fn stats(&self) -> Vec<(NodeName, NodeStats)> {
        let mut known = self.stats.lock().unwrap_or_else(PoisonError::into_inner);
        // A node that speaks to another root by now says there what is new.
        known.retain(|_, (_, at)| at.elapsed() < LEASE);
        known.iter().map(|(name, (stats, _))| (name.clone(), stats.clone())).collect()
    }

    async fn read(&self, topic: &Topic) -> Vec<Reply> {
        // Never closed.
        let _turn = self.reads.acquire().await;
        match self.store.read(topic).await {
            Ok(found) => {
                let none = Snapshot { topic: topic.clone(), version: Version::default(), totals: Vec::new() };
                let Snapshot { version, totals, .. } = found.unwrap_or(none);
                let parts = snapshot_parts(topic, version, totals, SNAPSHOT_PART_BYTES);
                parts.into_iter().map(Reply::Snapshot).collect()
            }
            Err(e) => vec![self.answered(Work::Reading, Err(e))],
        }
    }

    async fn topics(&self) -> Reply {
        self.answered(Work::Reading, self.store.topics(TOPICS_LISTED).await.map(Reply::Topics))
    }

    fn back_up(&self, folder: &str, id: &str) -> Reply {
        Reply::BackedUp(match &*self.store {
            AnyStore::Embedded(store) => match store.back_up(Path::new(folder), id) {
                Backup::Running => Ok(None),
                Backup::Done(bytes) => Ok(Some(bytes)),
                Backup::Failed(reason) => Err(reason),
            },
            AnyStore::Redis(_) => {
                Err("this cluster's store is Redis: back up its data files, as docs/stores.md says".into())
            }
        })
    }

    async fn scan(&self, after: Option<String>, limit: u32) -> Reply {
        let after = after.map(Cursor::from_text);
        let page = match self.store.scan(after, limit.min(TOPICS_SCANNED) as usize).await {
            Ok(page) => self.without_tombstones(page).await,
            Err(e) => Err(e),
        };
        let reply = |Page { found, next }: Page<Topic>| Reply::TopicPage {
            topics: found,
            next: next.map(|next| next.as_str().to_owned()),
        };
        self.answered(Work::Reading, page.map(reply))
    }

    /// Leaves forgotten topics out until something is counted in them again.
    async fn without_tombstones(&self, mut page: Page<Topic>) -> Result<Page<Topic>, StoreError> {
        let forgotten = self.store.forgotten(Arc::from(page.found.as_slice())).await?;
        let mut gone = HashSet::new();
        for (topic, _) in page.found.iter().zip(forgotten).filter(|(_, events)| *events > 0) {
            if self.store.read(topic).await?.is_none_or(|found| found.totals.is_empty()) {
                gone.insert(topic.clone());
            }
        }
        page.found.retain(|topic| !gone.contains(topic));
        Ok(page)
    }

    /// Forgets a topic. Its followers here get the news before the reply goes out.
    async fn forget(&self, topic: Topic, at: Version) -> Reply {
        let forgetting = self.store.forget(&topic, at).await;
        if let Ok(ForgetOutcome::Forgotten(Tombstone { version, .. })) = &forgetting {
            // The core ends only with the root.
            let _ = self.core.finished.send(Finished::Forgotten(topic, *version));
        }
        self.answered(Work::Writing, forgetting.map(Reply::ForgetOutcome))
    }

    async fn publish(&self, table: SessionTable) -> Reply {
        if table.sessions.len() > SESSIONS_PER_MESSAGE {
            return Reply::Failed(format!("a table of sessions comes in pieces of {SESSIONS_PER_MESSAGE}"));
        }
        let kept = self.store.put_sessions(table).await;
        self.answered(Work::Writing, kept.map(|durable| Reply::Published { durable }))
    }

    /// The reply to a store call, or its failure.
    fn answered(&self, work: Work, answer: Result<Reply, StoreError>) -> Reply {
        answer.unwrap_or_else(|e| {
            self.gauges.store_failed(work, &e);
            Reply::Failed(e.to_string())
        })
    }
}

/// Whether a request can't be answered while the store is not this cluster's.
fn needs_store(request: &Request) -> bool {
    !matches!(request, Request::StoreStatus | Request::AcknowledgeStore | Request::Stats | Request::Drain)
}
