//! A subscription: one conversation with a broadcast node, in a task of its own. A viewer that moves has two
//! for a while.

use super::cluster::Cluster;
use super::error::ClientError;
use super::viewer_state::Shared;
use crate::machine::viewer::{Departure, Feed, Outdated};
use countree_common::cluster::{ClusterView, Node};
use countree_common::shell::peers::{PeerError, Peers};
use countree_common::shell::quic::{FrameReceiver, FrameSender, StreamError};
use countree_common::wire::frame::FrameKind;
use countree_common::wire::hello::Conversation;
use countree_common::wire::viewer::FromBroadcast;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// Events that wait for the viewer's task: at most its arrival, one departure and its end.
const EVENTS_QUEUED: usize = 4;

/// A report of a subscription to the viewer's task.
#[derive(Debug)]
pub(super) enum SubscriptionEvent {
    /// Every topic's snapshot has arrived.
    Complete,
    /// The viewer is to move to another node; this one still serves it until then.
    Sent(Departure),
    /// The conversation is over.
    Ended(End),
}

/// The reason why a conversation with a broadcast node is over.
#[derive(Debug)]
pub(super) enum End {
    /// No node can help.
    Fatal(ClientError),
    /// This node can't help, another may. `was_open` says whether it had let the viewer in.
    Node { was_open: bool, reason: String },
}

/// A handle of a subscription, which ends when it is dropped.
#[derive(Debug)]
pub(super) struct Subscription {
    /// The broadcast node.
    pub(super) node: Node,
    events: mpsc::Receiver<SubscriptionEvent>,
    task: AbortHandle,
}

impl Subscription {
    /// Connects and subscribes, in a new task.
    pub(super) fn begin(cluster: &Cluster, shared: &Arc<Shared>, peers: &Peers, node: Node) -> Self {
        let (sender, events) = mpsc::channel(EVENTS_QUEUED);
        let conversation = SubscriptionTask {
            cluster: cluster.clone(),
            shared: shared.clone(),
            node: node.clone(),
            events: sender,
        };
        let peers = peers.clone();
        let task = tokio::spawn(async move {
            let end = conversation.run(&peers).await;
            let _ = conversation.events.send(SubscriptionEvent::Ended(end)).await;
        });
        Self { node, events, task: task.abort_handle() }
    }

    /// Returns the next event.
    pub(super) async fn next(&mut self) -> SubscriptionEvent {
        let gone = || End::Node { was_open: true, reason: "its task has ended".into() };
        self.events.recv().await.unwrap_or_else(|| SubscriptionEvent::Ended(gone()))
    }

    /// Returns when the subscription is over.
    pub(super) async fn ended(&mut self) -> End {
        loop {
            if let SubscriptionEvent::Ended(end) = self.next().await {
                return end;
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Closes the connection when dropped: the node would take an open one for a live one.
struct Closing(quinn::Connection);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close(0u32.into(), b"");
    }
}

struct SubscriptionTask {
    cluster: Cluster,
    shared: Arc<Shared>,
    node: Node,
    events: mpsc::Sender<SubscriptionEvent>,
}

impl SubscriptionTask {
    async fn run(&self, peers: &Peers) -> End {
        let over = |was_open: bool, e: PeerError| match e {
            PeerError::Stream(StreamError::Refused(refusal)) => {
                let reason = refusal.message.clone();
                ClientError::refusal(refusal).map_or(End::Node { was_open, reason }, End::Fatal)
            }
            e => End::Node { was_open, reason: e.to_string() },
        };
        let Node { name, quic, .. } = &self.node;
        match peers.open(name.as_str(), *quic, Conversation::Watch).await {
            Ok((sender, receiver, connection)) => {
                let connection = Closing(connection);
                over(true, self.follow(sender, receiver, &connection.0).await.into())
            }
            Err(e) => over(false, e),
        }
    }

    /// Returns when the connection breaks.
    async fn follow(
        &self,
        mut sender: FrameSender,
        mut receiver: FrameReceiver,
        connection: &quinn::Connection,
    ) -> StreamError {
        let mut view = self.cluster.watch_view();
        let (messages, mut feed) = self.shared.act(|machine| machine.connected());
        for message in messages {
            if let Err(e) = sender.send(FrameKind::Message, &message).await {
                return e;
            }
        }
        let (mut arrived, mut sent_away) = (false, false);
        loop {
            let step = tokio::select! {
                message = receiver.message::<FromBroadcast>() => self.handle_message(&mut feed, message),
                datagram = connection.read_datagram() => match datagram {
                    Ok(datagram) => {
                        self.shared.act(|machine| machine.handle_datagram(&feed, &datagram));
                        Ok(None)
                    }
                    Err(e) => Err(e.into()),
                },
                Ok(()) = view.changed() => Ok(self.unlisted(&view.borrow_and_update())),
            };
            match step {
                Ok(departure) => {
                    if !arrived && feed.is_complete() {
                        arrived = true;
                        let _ = self.events.send(SubscriptionEvent::Complete).await;
                    }
                    if let Some(departure) = departure.filter(|_| !sent_away) {
                        sent_away = true;
                        let _ = self.events.send(SubscriptionEvent::Sent(departure)).await;
                    }
                }
                Err(e) => return e,
            }
        }
    }

    fn handle_message(
        &self,
        feed: &mut Feed,
        message: Result<Option<FromBroadcast>, StreamError>,
    ) -> Result<Option<Departure>, StreamError> {
        let message = message?.ok_or(StreamError::Ended)?;
        self.shared
            .act(|machine| machine.handle_message(feed, message))
            .map_err(|Outdated| StreamError::Ended)
    }

    /// A node that is not listed as it was may be dead, which would be noticed only much later.
    fn unlisted(&self, view: &ClusterView) -> Option<Departure> {
        let is_listed = view.node(&self.node.name).is_some_and(|node| node.quic == self.node.quic);
        let reason = "it has moved or left the cluster".to_owned();
        (!is_listed).then_some(Departure { reason, alternates: Vec::new(), within: Duration::ZERO })
    }
}
