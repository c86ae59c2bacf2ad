//! Connections to nodes, opened when first needed and kept.

use super::quic::{FrameReceiver, FrameSender, StreamError};
use crate::cluster::{Node, NodeName};
use crate::document::Snapshot;
use crate::key::Topic;
use crate::limits;
use crate::store::StoreId;
use crate::wire::frame::FrameKind;
use crate::wire::hello::{Conversation, Hello};
use crate::wire::publish::SnapshotAssembly;
use crate::wire::rpc::{Question, Reply, Request};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Time limit for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time limit for an answer.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Time limit for all parts of a topic.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Failure of a request to a node.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// No connection; the node has not seen the request.
    #[error("no connection to {name} at {address}: {reason}")]
    Unreachable {
        /// The name that its certificate must carry.
        name: String,
        /// The address that was tried.
        address: SocketAddr,
        /// The reason.
        reason: String,
    },
    /// The conversation broke off; the node may have seen the request.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// No answer in time; the node may have seen the request.
    #[error("{name} at {address} has not answered within {} ms", limit.as_millis())]
    Timeout {
        /// The node that was asked.
        name: String,
        /// Its address.
        address: SocketAddr,
        /// The time limit, which has passed.
        limit: Duration,
    },
    /// The node refused, for this reason.
    #[error("{0}")]
    Failed(String),
    /// The node uses another store than this one has joined with; it has not acted on the request.
    #[error("{0}")]
    OtherStore(String),
    /// The node's reply belongs to another question.
    #[error("the answer is not one to this question")]
    Mismatched,
}

/// Opens conversations with nodes on behalf of one node or client. Copies share their connections.
#[derive(Debug, Clone)]
pub struct Peers {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    endpoint: quinn::Endpoint,
    config: quinn::ClientConfig,
    cluster: NodeName,
    node: Option<NodeName>,
    token: Option<String>,
    /// Shown to roots, so that those of another store give no answers.
    store: Mutex<Option<StoreId>>,
    connections: Mutex<HashMap<(String, SocketAddr), quinn::Connection>>,
}

impl PeerError {
    /// Whether the node may be gone, so that the caller may ask another.
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Timeout { .. } | Self::Stream(_))
    }
}

impl Peers {
    /// `node` is this node's name, if it is one; its certificate has to be in `config`. `token` is shown to
    /// nodes that ask for one.
    pub fn new(
        endpoint: quinn::Endpoint,
        config: quinn::ClientConfig,
        cluster: NodeName,
        node: Option<NodeName>,
        token: Option<String>,
    ) -> Self {
        let (store, connections) = (Mutex::default(), Mutex::default());
        Self { shared: Arc::new(Shared { endpoint, config, cluster, node, token, store, connections }) }
    }

    /// The name of the node that this belongs to, if it is a node.
    pub fn me(&self) -> Option<&NodeName> {
        self.shared.node.as_ref()
    }

    /// Questions say from now on that the node belongs to this store, or to none.
    pub fn belong_to(&self, store: Option<StoreId>) {
        *self.shared.store.lock().unwrap_or_else(PoisonError::into_inner) = store;
    }

    /// Returns a live connection to the node at `address` with a certificate for `name`.
    ///
    /// # Errors
    /// [`PeerError::Unreachable`]
    pub async fn connection(&self, name: &str, address: SocketAddr) -> Result<quinn::Connection, PeerError> {
        let key = (name.to_owned(), address);
        if let Some(connection) = self.connections().get(&key)
            && connection.close_reason().is_none()
        {
            return Ok(connection.clone());
        }
        let unreachable = |reason: String| PeerError::Unreachable { name: name.to_owned(), address, reason };
        let connecting = self
            .shared
            .endpoint
            .connect_with(self.shared.config.clone(), address, name)
            .map_err(|e| unreachable(e.to_string()))?;
        let connection = tokio::time::timeout(CONNECT_TIMEOUT, connecting)
            .await
            .map_err(|_| unreachable(format!("nothing answers within {} s", CONNECT_TIMEOUT.as_secs())))?
            .map_err(|e| unreachable(e.to_string()))?;
        let mut connections = self.connections();
        connections.retain(|_, c| c.close_reason().is_none());
        connections.insert(key, connection.clone());
        Ok(connection)
    }

    /// Opens a conversation on a stream of its own.
    ///
    /// # Errors
    /// When there is no connection, or it breaks at once.
    pub async fn open(
        &self,
        name: &str,
        address: SocketAddr,
        conversation: Conversation,
    ) -> Result<(FrameSender, FrameReceiver, quinn::Connection), PeerError> {
        let connection = self.connection(name, address).await?;
        let (send, receive) = connection.open_bi().await.map_err(StreamError::from)?;
        let mut sender = FrameSender::new(send);
        let hello = Hello {
            protocol: conversation.protocol(),
            cluster: self.shared.cluster.clone(),
            conversation,
            node: self.shared.node.clone(),
            token: self.shared.token.clone(),
        };
        sender.send(FrameKind::Hello, &hello).await?;
        Ok((sender, FrameReceiver::new(receive, limits::NODE_FRAME_BYTES), connection))
    }

    /// Sends a request and reads its one-frame reply.
    ///
    /// # Errors
    /// When there is no answer; whether the node acted on the request is then known only for
    /// [`PeerError::Unreachable`] (it did not).
    pub async fn call(&self, node: &Node, request: &Request) -> Result<Reply, PeerError> {
        self.call_at(node.name.as_str(), node.quic, request).await
    }

    /// [`Peers::call`] with a time limit of its own.
    ///
    /// # Errors
    /// As [`Peers::call`].
    pub async fn call_within(
        &self,
        node: &Node,
        request: &Request,
        limit: Duration,
    ) -> Result<Reply, PeerError> {
        self.call_at_within(node.name.as_str(), node.quic, request, limit).await
    }

    /// [`Peers::call`] to the node at `address` with a certificate for `name`.
    ///
    /// # Errors
    /// As [`Peers::call`].
    pub async fn call_at(
        &self,
        name: &str,
        address: SocketAddr,
        request: &Request,
    ) -> Result<Reply, PeerError> {
        self.call_at_within(name, address, request, CALL_TIMEOUT).await
    }

    /// [`Peers::call_at`] with a time limit of its own.
    ///
    /// # Errors
    /// As [`Peers::call`].
    pub async fn call_at_within(
        &self,
        name: &str,
        address: SocketAddr,
        request: &Request,
        limit: Duration,
    ) -> Result<Reply, PeerError> {
        self.within(limit, name, address, self.first_reply(name, address, request)).await
    }

    /// Drops the connection of a node that does not answer in time: it may be dead, so the next request opens
    /// a new one. Conversations on the old one go on.
    async fn within<T>(
        &self,
        limit: Duration,
        name: &str,
        address: SocketAddr,
        answer: impl Future<Output = Result<T, PeerError>>,
    ) -> Result<T, PeerError> {
        let answer = tokio::time::timeout(limit, answer).await;
        answer.unwrap_or_else(|_| {
            let name = name.to_owned();
            self.connections().remove(&(name.clone(), address));
            Err(PeerError::Timeout { name, address, limit })
        })
    }

    fn connections(&self) -> MutexGuard<'_, HashMap<(String, SocketAddr), quinn::Connection>> {
        self.shared.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn first_reply(
        &self,
        name: &str,
        address: SocketAddr,
        request: &Request,
    ) -> Result<Reply, PeerError> {
        next_reply(&mut self.ask(name, address, request).await?).await
    }

    /// Reads a topic from the store, through this root. A topic never counted is empty, at version 0-0.
    ///
    /// # Errors
    /// When the root can't be asked, or can't read it.
    pub async fn read(&self, root: &Node, topic: &Topic) -> Result<Snapshot, PeerError> {
        self.within(READ_TIMEOUT, root.name.as_str(), root.quic, self.read_all(root, topic)).await
    }

    async fn read_all(&self, root: &Node, topic: &Topic) -> Result<Snapshot, PeerError> {
        let mut replies = self.ask(root.name.as_str(), root.quic, &Request::Read(topic.clone())).await?;
        let mut assembly = SnapshotAssembly::default();
        loop {
            let Reply::Snapshot(part) = next_reply(&mut replies).await? else {
                return Err(PeerError::Mismatched);
            };
            if let Some(snapshot) = assembly.push(part) {
                return Ok(snapshot);
            }
        }
    }

    /// Sends a request, and leaves the frames of the reply to be read.
    ///
    /// # Errors
    /// When the request can't be sent.
    pub async fn ask(
        &self,
        name: &str,
        address: SocketAddr,
        request: &Request,
    ) -> Result<FrameReceiver, PeerError> {
        let (mut sender, receiver, _) = self.open(name, address, Conversation::Rpc).await?;
        let store = *self.shared.store.lock().unwrap_or_else(PoisonError::into_inner);
        sender.send(FrameKind::Message, &Question { store, request }).await?;
        sender.finish();
        Ok(receiver)
    }
}

/// Reads the next frame of a reply; a refusal is an error.
async fn next_reply(replies: &mut FrameReceiver) -> Result<Reply, PeerError> {
    match replies.message().await? {
        Some(Reply::Failed(reason)) => Err(PeerError::Failed(reason)),
        Some(Reply::OtherStore(reason)) => Err(PeerError::OtherStore(reason)),
        Some(reply) => Ok(reply),
        None => Err(StreamError::Ended.into()),
    }
}
