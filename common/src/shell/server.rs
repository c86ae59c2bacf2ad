//! Accepts connections, and checks the greeting that every stream begins with.

use super::quic::{FrameReceiver, FrameSender, StreamError};
use super::shutdown::Shutdown;
use super::tasks;
use crate::cluster::{NodeName, Tier};
use crate::limits;
use crate::wire::frame::FrameKind;
use crate::wire::hello::{Conversation, Hello, Refusal, RefusalCode};
use rustls::pki_types::{CertificateDer, ServerName};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Time limit of a peer for its handshake, and for the greeting of each stream that it opens.
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);
/// With this many handshakes under way, new peers have to prove their address first.
const RETRY_ABOVE: usize = limits::HANDSHAKES_PER_NODE / 4;

/// Decides whether a producer or viewer may hold a conversation; the error is a message for people.
pub type Admission = Arc<dyn Fn(&Hello) -> Result<(), String> + Send + Sync>;

/// The conversations that a node accepts.
#[derive(Clone)]
pub struct Policy {
    /// The cluster that peers have to name.
    pub cluster: NodeName,
    /// The node's tier, for the message to peers that came to the wrong one.
    pub tier: Tier,
    /// The conversations held here.
    pub conversations: &'static [Conversation],
    /// Decides about peers that are not nodes.
    pub admission: Admission,
}

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policy")
            .field("cluster", &self.cluster)
            .field("tier", &self.tier)
            .finish_non_exhaustive()
    }
}

/// A stream whose greeting was accepted.
#[derive(Debug)]
pub struct Greeted {
    /// The purpose of the stream.
    pub conversation: Conversation,
    /// The peer's name, if it is a node: its certificate is checked for it.
    pub node: Option<NodeName>,
    /// The sending half.
    pub sender: FrameSender,
    /// The receiving half, after the greeting.
    pub receiver: FrameReceiver,
    /// The connection, for datagrams.
    pub connection: quinn::Connection,
}

/// Accepts connections until `shutdown`, and runs `handle` for every greeted stream. A handler's error
/// ends its stream and is logged.
pub async fn serve<F, Fut>(endpoint: quinn::Endpoint, policy: Policy, shutdown: Shutdown, handle: F)
where
    F: Fn(Greeted) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<(), StreamError>> + Send + 'static,
{
    let handshakes = Arc::new(Semaphore::new(limits::HANDSHAKES_PER_NODE));
    loop {
        let incoming = tokio::select! {
            incoming = endpoint.accept() => incoming,
            () = shutdown.begun() => None,
        };
        let Some(incoming) = incoming else { return };
        let running = limits::HANDSHAKES_PER_NODE - handshakes.available_permits();
        if running >= RETRY_ABOVE && incoming.may_retry() {
            // Fails only for a validated address, which `may_retry` has excluded.
            let _ = incoming.retry();
            continue;
        }
        let permit = handshakes.clone().try_acquire_owned();
        let (Ok(permit), true) = (permit, endpoint.open_connections() < limits::CONNECTIONS_PER_NODE) else {
            incoming.refuse();
            continue;
        };
        let (policy, handle) = (policy.clone(), handle.clone());
        tasks::spawn(async move {
            let connection = tokio::time::timeout(GREETING_TIMEOUT, incoming).await;
            drop(permit);
            match connection {
                Ok(Ok(connection)) => accept_streams(connection, policy, handle).await,
                Ok(Err(e)) => tracing::debug!("handshake failed: {e}"),
                Err(_) => tracing::debug!("handshake timed out"),
            }
        });
    }
}

async fn accept_streams<F, Fut>(connection: quinn::Connection, policy: Policy, handle: F)
where
    F: Fn(Greeted) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<(), StreamError>> + Send + 'static,
{
    while let Ok((send, receive)) = connection.accept_bi().await {
        let (policy, handle, connection) = (policy.clone(), handle.clone(), connection.clone());
        tasks::spawn(async move {
            let remote = connection.remote_address();
            if let Err(e) = greet(send, receive, connection, &policy, handle).await {
                tracing::debug!(%remote, "stream ended: {e}");
            }
        });
    }
}

async fn greet<F, Fut>(
    send: quinn::SendStream,
    receive: quinn::RecvStream,
    connection: quinn::Connection,
    policy: &Policy,
    handle: F,
) -> Result<(), StreamError>
where
    F: Fn(Greeted) -> Fut,
    Fut: Future<Output = Result<(), StreamError>>,
{
    let sender = FrameSender::new(send);
    let mut receiver = FrameReceiver::new(receive, limits::FRAME_BYTES);
    let hello = match tokio::time::timeout(GREETING_TIMEOUT, receiver.next()).await {
        Ok(Ok(Some(frame))) => frame.decode::<Hello>(FrameKind::Hello).map_err(StreamError::from),
        Ok(Ok(None)) | Err(_) => Err(StreamError::Ended),
        Ok(Err(e)) => Err(e),
    };
    let hello = match hello {
        Ok(hello) => hello,
        Err(e) => {
            refuse(sender, RefusalCode::Malformed, format!("a stream begins with a hello frame: {e}")).await;
            return Err(e);
        }
    };
    if let Err(refusal) = admit(&hello, &connection, policy) {
        let Refusal { code, message } = refusal.clone();
        refuse(sender, code, message).await;
        return Err(StreamError::Refused(refusal));
    }
    if hello.conversation.is_for_nodes() {
        receiver = receiver.with_limit(limits::NODE_FRAME_BYTES);
    }
    let node = if hello.conversation.is_for_nodes() { hello.node } else { None };
    handle(Greeted { conversation: hello.conversation, node, sender, receiver, connection }).await
}

fn admit(hello: &Hello, connection: &quinn::Connection, policy: &Policy) -> Result<(), Refusal> {
    let refuse = |code, message| Err(Refusal { code, message });
    let (spoken, heard) = (hello.conversation.protocol(), hello.protocol);
    if heard != spoken {
        let what = if hello.conversation.is_for_nodes() { "node protocol" } else { "protocol" };
        let message = format!(
            "this node speaks {what} {spoken}, not {heard}: the two are of different releases (docs/upgrading.md)"
        );
        return refuse(RefusalCode::Protocol, message);
    }
    if hello.cluster != policy.cluster {
        let message = format!("this is cluster '{}', not '{}'", policy.cluster, hello.cluster);
        return refuse(RefusalCode::WrongCluster, message);
    }
    if !policy.conversations.contains(&hello.conversation) {
        let message = format!("a {} node does not hold {:?} conversations", policy.tier, hello.conversation);
        return refuse(RefusalCode::WrongTier, message);
    }
    if !hello.conversation.is_for_nodes() {
        return (policy.admission)(hello).or_else(|message| refuse(RefusalCode::Unauthorized, message));
    }
    match &hello.node {
        Some(name) if has_certificate_of(connection, name) => Ok(()),
        _ => refuse(
            RefusalCode::Unauthorized,
            "only nodes of the cluster may ask this: show a certificate of its CA".into(),
        ),
    }
}

/// Whether the peer showed a certificate for this name, and of no other node. Its chain was checked in the
/// handshake.
fn has_certificate_of(connection: &quinn::Connection, name: &NodeName) -> bool {
    if name.is_shared() {
        return false;
    }
    let Some(identity) = connection.peer_identity() else { return false };
    let Ok(chain) = identity.downcast::<Vec<CertificateDer<'static>>>() else { return false };
    let (Some(leaf), Ok(server_name)) = (chain.first(), ServerName::try_from(name.as_str())) else {
        return false;
    };
    rustls::server::ParsedCertificate::try_from(leaf)
        .is_ok_and(|parsed| rustls::client::verify_server_name(&parsed, &server_name).is_ok())
}

/// Sends the reason why the conversation ends, and ends it.
pub async fn refuse(mut sender: FrameSender, code: RefusalCode, message: String) {
    if sender.send(FrameKind::Refusal, &Refusal { code, message }).await.is_ok() {
        sender.finish();
        let _ = tokio::time::timeout(GREETING_TIMEOUT, sender.flushed()).await;
    }
}
