//! The short conversations: one question, one answer.

use super::gauges::Gauges;
use super::outbox::SNAPSHOT_PART_BYTES;
use super::registry::RegistryHandle;
use super::trouble::Work;
use crate::machine::registrar::Ask;
use crate::store::{AnyStore, Store};
use countree_common::cluster::NodeName;
use countree_common::document::{Snapshot, Version};
use countree_common::key::Topic;
use countree_common::shell::quic::{FrameReceiver, FrameSender, StreamError};
use countree_common::wire::frame::FrameKind;
use countree_common::wire::publish::snapshot_parts;
use countree_common::wire::rpc::{NodeStats, Reply, Request, TOPICS_LISTED};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Topics that are read for questions at a time.
const READS_AT_ONCE: usize = 32;
/// The question has to follow the greeting within this.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(10);

/// What the answers are made of.
#[derive(Debug, Clone)]
pub(super) struct Desk {
    registry: RegistryHandle,
    store: Arc<AnyStore>,
    gauges: Arc<Gauges>,
    stats: Arc<Mutex<BTreeMap<NodeName, NodeStats>>>,
    reads: Arc<Semaphore>,
}

impl Desk {
    pub(super) fn new(registry: RegistryHandle, store: Arc<AnyStore>, gauges: Arc<Gauges>) -> Self {
        let reads = Arc::new(Semaphore::new(READS_AT_ONCE));
        Self { registry, store, gauges, stats: Arc::default(), reads }
    }

    /// Answers one question of `peer`.
    pub(super) async fn answer(
        &self,
        peer: &NodeName,
        mut sender: FrameSender,
        mut receiver: FrameReceiver,
    ) -> Result<(), StreamError> {
        let question = tokio::time::timeout(QUESTION_TIMEOUT, receiver.message::<Request>()).await;
        let Ok(Some(request)) = question.map_err(|_| StreamError::Ended)? else {
            return Err(StreamError::Ended);
        };
        for reply in self.replies(peer, request).await {
            sender.send(FrameKind::Message, &reply).await?;
        }
        sender.finish();
        Ok(())
    }

    async fn replies(&self, peer: &NodeName, request: Request) -> Vec<Reply> {
        let not_yours = |name: &NodeName| {
            vec![Reply::Failed(format!("the certificate says {peer}: it can't speak for {name}"))]
        };
        match request {
            Request::Join { name, .. } if name != *peer => not_yours(&name),
            Request::Heartbeat { node, .. } if node.name != *peer => not_yours(&node.name),
            Request::Leave(name) | Request::Settled(name) if name != *peer => not_yours(&name),
            Request::Join { name, at_least } => vec![self.registry.ask(Ask::Join { name, at_least }).await],
            Request::Heartbeat { node, stats } => {
                self.note_stats(node.name.clone(), stats);
                vec![self.registry.ask(Ask::Heartbeat(node)).await]
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
            Request::Settled(name) => vec![self.registry.ask(Ask::Settled(name)).await],
            Request::Members => vec![self.registry.ask(Ask::Members).await],
            Request::Flush | Request::Reset(_) => vec![Reply::Failed("that is a leaf's to do".into())],
            Request::Submit(_) => vec![Reply::Failed("a root takes no events: send them to a leaf".into())],
        }
    }

    /// Keeps what a node says of itself.
    pub(super) fn note_stats(&self, name: NodeName, stats: NodeStats) {
        let view = self.registry.view().borrow().clone();
        let mut known = self.stats.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() > view.nodes.len() {
            known.retain(|name, _| view.node(name).is_some());
        }
        known.insert(name, stats);
    }

    fn stats(&self) -> Vec<(NodeName, NodeStats)> {
        let known = self.stats.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().map(|(name, stats)| (name.clone(), stats.clone())).collect()
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
            Err(e) => {
                self.gauges.store_failed(Work::Reading, &e);
                vec![Reply::Failed(e.to_string())]
            }
        }
    }

    async fn topics(&self) -> Reply {
        match self.store.topics(TOPICS_LISTED).await {
            Ok(topics) => Reply::Topics(topics),
            Err(e) => {
                self.gauges.store_failed(Work::Reading, &e);
                Reply::Failed(e.to_string())
            }
        }
    }
}
