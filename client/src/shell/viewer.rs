//! The viewer as programs use it, and its task.

use super::cluster::Cluster;
use super::error::ClientError;
use crate::machine::viewer::{Output, Watch};
use countree_common::cluster::{Node, NodeName, Tier};
use countree_common::document::TopicView;
use countree_common::key::Topic;
use countree_common::limits;
use countree_common::shell::peers::{PeerError, Peers};
use countree_common::shell::quic::{FrameSender, StreamError};
use countree_common::wire::frame::FrameKind;
use countree_common::wire::hello::Conversation;
use countree_common::wire::viewer::FromBroadcast;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

/// The wait before another node is tried; doubles up to [`RETRY_MAX`].
const RETRY: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(1);

/// Watches topics. Reconnects by itself, to whichever broadcast node there is.
#[derive(Debug)]
pub struct Viewer {
    shared: Arc<Shared>,
    task: AbortHandle,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    watch: Watch,
    error: Option<ClientError>,
    has_ended: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the machine act, and tells the reader.
    fn act(&self, act: impl FnOnce(&mut Watch)) {
        act(&mut self.state().watch);
        self.news.notify_one();
    }
}

impl Viewer {
    /// Watches these topics, 1 to `limits::TOPICS_PER_VIEWER`. Must run inside a tokio runtime.
    pub fn watch(cluster: Cluster, topics: Vec<Topic>) -> Self {
        let topics: BTreeSet<_> = topics.into_iter().collect();
        let count = topics.len();
        let state = State { watch: Watch::new(topics), ..State::default() };
        let shared = Arc::new(Shared { state: Mutex::new(state), news: Notify::new() });
        let task = Task { cluster, shared: shared.clone() };
        let task = tokio::spawn(async move {
            let error = match count {
                1..=limits::TOPICS_PER_VIEWER => task.run().await,
                _ => ClientError::TopicCount(count),
            };
            task.shared.state().error = Some(error);
            task.shared.news.notify_one();
        });
        Self { shared, task: task.abort_handle() }
    }

    /// What is new: for each topic first all its counts (and again when the store's era changed), then the
    /// counters that changed. A slow reader skips to the latest. Safe to drop and call again.
    ///
    /// Ends after an error; while no broadcast node can be reached it waits.
    pub async fn next(&mut self) -> Option<Result<TopicView, ClientError>> {
        loop {
            {
                let mut state = self.shared.state();
                if let Some(view) = state.watch.poll_view() {
                    return Some(Ok(view));
                }
                if let Some(error) = state.error.take() {
                    state.has_ended = true;
                    return Some(Err(error));
                }
                if state.has_ended {
                    return None;
                }
            }
            self.shared.news.notified().await;
        }
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Task {
    cluster: Cluster,
    shared: Arc<Shared>,
}

/// Why a conversation with a broadcast node is over.
enum End {
    /// For good.
    Fatal(ClientError),
    /// With this node, which had let the viewer in or not.
    Node { was_open: bool, reason: String },
}

impl Task {
    /// Goes from node to node; returns only what no node will help against.
    async fn run(&self) -> ClientError {
        let peers = match self.cluster.viewer_peers() {
            Ok(peers) => peers,
            Err(e) => return e,
        };
        let (mut last, mut failures) = (None, 0u32);
        loop {
            if let Some(node) = self.choose(last.as_ref()) {
                match self.converse(&peers, &node).await {
                    End::Fatal(e) => return e,
                    End::Node { was_open, reason } => {
                        tracing::debug!(node = %node.name, "leaving a broadcast node: {reason}");
                        failures = if was_open { 0 } else { failures + 1 };
                    }
                }
                last = Some(node.name);
            } else {
                failures += 1;
            }
            self.cluster.report_trouble();
            tokio::time::sleep(RETRY.saturating_mul(1 << failures.min(10)).min(RETRY_MAX)).await;
        }
    }

    /// A broadcast node at random, another than the last one if there is any.
    fn choose(&self, last: Option<&NodeName>) -> Option<Node> {
        let view = self.cluster.view();
        let all: Vec<&Node> = view.tier(Tier::Broadcast).collect();
        let others: Vec<&Node> = all.iter().copied().filter(|n| Some(&n.name) != last).collect();
        let nodes = if others.is_empty() { all } else { others };
        let place = rand::random::<u64>().checked_rem(nodes.len() as u64)?;
        nodes.get(place as usize).map(|&node| node.clone())
    }

    async fn converse(&self, peers: &Peers, node: &Node) -> End {
        let over = |was_open: bool, e: PeerError| match e {
            PeerError::Stream(StreamError::Refused(refusal)) => {
                let reason = refusal.message.clone();
                ClientError::refusal(refusal).map_or(End::Node { was_open, reason }, End::Fatal)
            }
            e => End::Node { was_open, reason: e.to_string() },
        };
        match peers.open(node.name.as_str(), node.quic, Conversation::Watch).await {
            Ok((sender, receiver, connection)) => {
                let end = self.follow(node, sender, receiver, &connection).await;
                // A connection that is left open would be taken for a live one.
                connection.close(0u32.into(), b"");
                end.unwrap_or_else(|e| over(true, e.into()))
            }
            Err(e) => over(false, e),
        }
    }

    async fn follow(
        &self,
        node: &Node,
        mut sender: FrameSender,
        mut receiver: countree_common::shell::quic::FrameReceiver,
        connection: &quinn::Connection,
    ) -> Result<End, StreamError> {
        let mut view = self.cluster.watch_view();
        self.shared.act(Watch::handle_connected);
        loop {
            while let Some(output) = self.poll_output() {
                match output {
                    Output::Send(message) => sender.send(FrameKind::Message, &message).await?,
                    Output::Leave(reason) => return Ok(End::Node { was_open: true, reason }),
                }
            }
            tokio::select! {
                message = receiver.message::<FromBroadcast>() => {
                    let message = message?.ok_or(StreamError::Ended)?;
                    self.shared.act(|watch| watch.handle_message(message));
                }
                datagram = connection.read_datagram() => {
                    let datagram = datagram?;
                    self.shared.act(|watch| watch.handle_datagram(&datagram));
                }
                Ok(()) = view.changed() => {
                    let view = view.borrow_and_update().clone();
                    // A dead process would be noticed only much later.
                    if view.node(&node.name) != Some(node) {
                        let reason = "it has moved or left the cluster".into();
                        return Ok(End::Node { was_open: true, reason });
                    }
                }
            }
        }
    }

    fn poll_output(&self) -> Option<Output> {
        self.shared.state().watch.poll_output()
    }
}
