//! QUIC endpoints, and frames over their streams.

#[cfg(feature = "shell")]
use super::identity::Identity;
use super::tls::IdentityError;
use crate::limits;
use crate::wire::frame::{self, Frame, FrameError, FrameKind, FrameReader};
use crate::wire::hello::Refusal;
use quinn::{EndpointConfig, TokioRuntime, TransportConfig, VarInt};
use serde::Serialize;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// A connection without a packet for this long is dead.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(15);
/// The connecting side sends at least this often.
const KEEP_ALIVE: Duration = Duration::from_secs(4);
/// Buffer size that is asked of the kernel for each direction of a socket, in bytes; it may give less.
const SOCKET_BUFFER_BYTES: usize = 8 << 20;

/// The main use of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Few peers, much data: producers to leaves, nodes to nodes.
    Bulk,
    /// Many peers, small packets: viewers. Costs little memory, keeps no stale datagrams.
    Fanout,
}

fn transport(profile: Profile) -> TransportConfig {
    let mut config = TransportConfig::default();
    let idle = quinn::IdleTimeout::try_from(IDLE_TIMEOUT).ok();
    config.max_idle_timeout(idle).max_concurrent_uni_streams(VarInt::from_u32(16));
    match profile {
        Profile::Bulk => {
            config
                .max_concurrent_bidi_streams(VarInt::from_u32(256))
                .stream_receive_window(VarInt::from_u32(4 << 20))
                .receive_window(VarInt::from_u32(32 << 20))
                .send_window(32 << 20);
        }
        Profile::Fanout => {
            config
                .max_concurrent_bidi_streams(VarInt::from_u32(16))
                .stream_receive_window(VarInt::from_u32(64 << 10))
                .receive_window(VarInt::from_u32(256 << 10))
                .send_window(1 << 20)
                .datagram_receive_buffer_size(Some(64 << 10))
                .datagram_send_buffer_size(4 << 10)
                .mtu_discovery_config(None);
        }
    }
    config
}

/// Settings for accepting connections.
///
/// # Errors
/// When TLS can't be used for QUIC.
pub fn server_config(
    tls: rustls::ServerConfig,
    profile: Profile,
) -> Result<quinn::ServerConfig, IdentityError> {
    let crypto = quinn::crypto::rustls::QuicServerConfig::try_from(tls)
        .map_err(|e| IdentityError::Tls(e.to_string()))?;
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(Arc::new(transport(profile)));
    Ok(config)
}

/// Settings for connecting.
///
/// # Errors
/// When TLS can't be used for QUIC.
pub fn client_config(
    tls: rustls::ClientConfig,
    profile: Profile,
) -> Result<quinn::ClientConfig, IdentityError> {
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(tls)
        .map_err(|e| IdentityError::Tls(e.to_string()))?;
    let mut config = quinn::ClientConfig::new(Arc::new(crypto));
    let mut transport = transport(profile);
    transport.keep_alive_interval(Some(KEEP_ALIVE));
    if profile == Profile::Fanout {
        // A viewer takes datagrams as they come.
        transport.datagram_receive_buffer_size(Some(1 << 20)).receive_window(VarInt::from_u32(16 << 20));
        transport.stream_receive_window(VarInt::from_u32(4 << 20));
    }
    config.transport_config(Arc::new(transport));
    Ok(config)
}

/// An endpoint on `address`; port 0 picks a free one. Must run inside a tokio runtime.
///
/// # Errors
/// When the socket can't be bound.
pub fn endpoint(address: SocketAddr, server: Option<quinn::ServerConfig>) -> io::Result<quinn::Endpoint> {
    endpoint_with(EndpointConfig::default(), address, server)
}

/// Binds a node's endpoint. Its stateless resets (RFC 9000, 10.3) are signed with a key of the node's
/// identity, which every start has. So peers learn after a crash that their connections are gone, and come
/// back at once, not after [`IDLE_TIMEOUT`].
///
/// # Errors
/// When the socket can't be bound.
#[cfg(feature = "shell")]
pub fn node_endpoint(
    address: SocketAddr,
    server: quinn::ServerConfig,
    identity: &Identity,
) -> io::Result<quinn::Endpoint> {
    let key = |purpose| identity.derived_key(purpose);
    let mut config = EndpointConfig::new(Arc::new(ring::hmac::Key::new(
        ring::hmac::HMAC_SHA256,
        &key("QUIC stateless reset"),
    )));
    // Connection ids of an earlier start have to be recognised, or they are ignored as noise.
    let [a, b, c, d, e, f, g, h, ..] = key("QUIC connection ids");
    let ids = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    config.cid_generator(move || Box::new(quinn_proto::HashedConnectionIdGenerator::from_key(ids)));
    endpoint_with(config, address, Some(server))
}

fn endpoint_with(
    config: EndpointConfig,
    address: SocketAddr,
    server: Option<quinn::ServerConfig>,
) -> io::Result<quinn::Endpoint> {
    let domain = if address.is_ipv4() { socket2::Domain::IPV4 } else { socket2::Domain::IPV6 };
    let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, Some(socket2::Protocol::UDP))?;
    socket.bind(&address.into())?;
    // Smaller buffers lose packets under load and nothing else.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER_BYTES);
    if let Ok(bytes) = socket.recv_buffer_size()
        && bytes < SOCKET_BUFFER_BYTES
    {
        tracing::debug!(bytes, "the kernel gave a smaller receive buffer (sysctl net.core.rmem_max)");
    }
    quinn::Endpoint::new(config, server, socket.into(), Arc::new(TokioRuntime))
}

/// The reason why a stream of frames ended early.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The connection or stream is gone.
    #[error("the connection is lost: {0}")]
    Lost(String),
    /// The peer sent bytes that are no frame, or a frame that does not belong here.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The peer stopped inside a frame.
    #[error("the stream ends inside a frame")]
    Truncated,
    /// The peer ended the conversation with a refusal.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// The stream ended where a frame was due.
    #[error("the stream has ended")]
    Ended,
}

impl From<quinn::WriteError> for StreamError {
    fn from(e: quinn::WriteError) -> Self {
        Self::Lost(e.to_string())
    }
}

impl From<quinn::ReadError> for StreamError {
    fn from(e: quinn::ReadError) -> Self {
        Self::Lost(e.to_string())
    }
}

impl From<quinn::ConnectionError> for StreamError {
    fn from(e: quinn::ConnectionError) -> Self {
        Self::Lost(e.to_string())
    }
}

/// The sending half of a conversation.
#[derive(Debug)]
pub struct FrameSender {
    stream: quinn::SendStream,
}

impl FrameSender {
    /// Frames on this stream.
    pub fn new(stream: quinn::SendStream) -> Self {
        Self { stream }
    }

    /// Sends a message in a frame; waits while flow control says so.
    ///
    /// # Errors
    /// When the connection is lost or the message is larger than any frame.
    pub async fn send<T: Serialize>(&mut self, kind: FrameKind, message: &T) -> Result<(), StreamError> {
        let bytes = frame::message(kind, message).map_err(FrameError::Body)?;
        Ok(self.stream.write_chunk(bytes).await?)
    }

    /// Sends a frame around bytes that are encoded already.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn send_body(&mut self, kind: FrameKind, body: bytes::Bytes) -> Result<(), StreamError> {
        let header = bytes::Bytes::copy_from_slice(&frame::header(kind, body.len()));
        Ok(self.stream.write_all_chunks(&mut [header, body]).await?)
    }

    /// Sends bytes that are whole frames already.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn send_raw(&mut self, frames: bytes::Bytes) -> Result<(), StreamError> {
        Ok(self.stream.write_chunk(frames).await?)
    }

    /// Ends the stream; bytes that were sent still arrive.
    pub fn finish(&mut self) {
        // Fails only when the stream was finished or reset before.
        let _ = self.stream.finish();
    }

    /// Waits until the peer has received everything, or is gone.
    pub async fn flushed(&mut self) {
        let _ = self.stream.stopped().await;
    }
}

/// The receiving half of a conversation.
#[derive(Debug)]
pub struct FrameReceiver {
    stream: quinn::RecvStream,
    frames: FrameReader,
}

impl FrameReceiver {
    /// Frames on this stream, with bodies of at most `limit` bytes.
    pub fn new(stream: quinn::RecvStream, limit: usize) -> Self {
        Self { stream, frames: FrameReader::new(limit) }
    }

    /// The same stream with another limit from the next frame on.
    pub fn with_limit(self, limit: usize) -> Self {
        debug_assert!(limit >= limits::FRAME_BYTES);
        Self { stream: self.stream, frames: self.frames.with_limit(limit) }
    }

    /// The next frame; `None` when the peer has finished. Safe to drop and call again.
    ///
    /// # Errors
    /// When the connection is lost, the bytes are not frames, or the peer refuses to go on.
    pub async fn next(&mut self) -> Result<Option<Frame>, StreamError> {
        loop {
            if let Some(frame) = self.frames.next_frame()? {
                if frame.kind == FrameKind::Refusal {
                    return Err(StreamError::Refused(frame.decode(FrameKind::Refusal)?));
                }
                return Ok(Some(frame));
            }
            match self.stream.read_chunk(256 << 10, true).await? {
                Some(chunk) => self.frames.push(&chunk.bytes),
                None if self.frames.is_mid_frame() => return Err(StreamError::Truncated),
                None => return Ok(None),
            }
        }
    }

    /// The next frame's message; `None` when the peer has finished.
    ///
    /// # Errors
    /// As [`FrameReceiver::next`], and when the frame is of another kind.
    pub async fn message<T: serde::de::DeserializeOwned>(&mut self) -> Result<Option<T>, StreamError> {
        match self.next().await? {
            Some(frame) => Ok(Some(frame.decode(FrameKind::Message)?)),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
#[path = "quic_tests.rs"]
mod tests;
