//! Viewers over QUIC, and what all viewers have in common: a way in to the core and a way out of it.

use super::core::Input;
use crate::machine::{DatagramRoom, Format, Room, ViewerId};
use bytes::Bytes;
use countree_common::cluster::NodeName;
use countree_common::shell::quic::{FrameReceiver, FrameSender, StreamError};
use countree_common::shell::server::Greeted;
use countree_common::wire::frame::FrameKind;
use countree_common::wire::viewer::{FromBroadcast, ToBroadcast};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Stretches of stream that wait for the one being written.
const STREAM_QUEUE: usize = 1;
/// A viewer that is told to go elsewhere has this long to hear it.
const FAREWELL: Duration = Duration::from_secs(1);

/// Where viewers come in.
#[derive(Debug)]
pub(super) struct Lobby {
    inputs: mpsc::Sender<Input>,
    next: AtomicU64,
    present: watch::Sender<usize>,
}

impl Lobby {
    pub(super) fn new(inputs: mpsc::Sender<Input>) -> Self {
        Self { inputs, next: AtomicU64::new(1), present: watch::Sender::new(0) }
    }

    /// How many viewers there are.
    pub(super) fn present(&self) -> usize {
        *self.present.borrow()
    }

    /// Tells everyone to go to one of these within this time.
    pub(super) async fn send_off(&self, alternates: Vec<(NodeName, SocketAddr)>, within: Duration) {
        let _ = self.inputs.send(Input::Leaving { alternates, within }).await;
    }

    /// Returns once all viewers have gone.
    pub(super) async fn emptied(&self) {
        // The sender lives as long as `self`.
        let _ = self.present.subscribe().wait_for(|present| *present == 0).await;
    }

    /// Lets a viewer in: its number, and what the core sends it. None when the node is leaving.
    pub(super) async fn admit(
        self: &Arc<Self>,
        format: Format,
        connection: Option<quinn::Connection>,
    ) -> Option<(Visit, Inbox)> {
        let viewer = ViewerId(self.next.fetch_add(1, Ordering::Relaxed));
        let (stream, chunks) = mpsc::channel(STREAM_QUEUE);
        let farewell = Arc::new(OnceLock::new());
        let datagrams = connection.map(|connection| {
            // Nothing was sent yet, so this is all the room that there ever is.
            let idle_room = connection.datagram_send_buffer_space();
            Datagrams { connection, idle_room }
        });
        let outlet = Outlet { stream, datagrams, farewell: farewell.clone() };
        self.present.send_modify(|present| *present += 1);
        let visit = Visit { lobby: self.clone(), viewer };
        self.inputs.send(Input::Joined { viewer, format, outlet }).await.ok()?;
        Some((visit, Inbox { chunks, farewell }))
    }
}

/// A viewer's stay.
#[derive(Debug)]
pub(super) struct Visit {
    lobby: Arc<Lobby>,
    pub(super) viewer: ViewerId,
}

impl Visit {
    /// Tells the core; false when it has gone.
    pub(super) async fn tell(&self, input: Input) -> bool {
        self.lobby.inputs.send(input).await.is_ok()
    }

    /// Ends the stay.
    pub(super) async fn end(self) {
        let _ = self.lobby.inputs.send(Input::Left(self.viewer)).await;
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.lobby.present.send_modify(|present| *present -= 1);
    }
}

/// What the core has for one viewer, at the viewer's end.
#[derive(Debug)]
pub(super) struct Inbox {
    /// Ends when the core lets go of the viewer.
    pub(super) chunks: mpsc::Receiver<Vec<Bytes>>,
    farewell: Arc<OnceLock<String>>,
}

/// The same at the core's end.
#[derive(Debug)]
pub(super) struct Outlet {
    stream: mpsc::Sender<Vec<Bytes>>,
    datagrams: Option<Datagrams>,
    farewell: Arc<OnceLock<String>>,
}

#[derive(Debug)]
struct Datagrams {
    connection: quinn::Connection,
    /// What the send buffer has room for when nothing waits in it.
    idle_room: usize,
}

impl Outlet {
    /// What the viewer can be sent right now.
    pub(super) fn room(&self) -> Room {
        let stream = self.stream.capacity() > 0;
        let Some(Datagrams { connection, idle_room }) = &self.datagrams else {
            return Room { datagram: DatagramRoom::Never, stream };
        };
        match connection.max_datagram_size() {
            None => Room { datagram: DatagramRoom::Never, stream },
            Some(bytes) if connection.datagram_send_buffer_space() >= *idle_room => {
                Room { datagram: DatagramRoom::Bytes(bytes), stream }
            }
            // The path takes no more at present: what goes on the stream would wait as well, and go stale.
            Some(_) => Room::NONE,
        }
    }

    pub(super) fn send_datagram(&self, bytes: Bytes) {
        if let Some(Datagrams { connection, .. }) = &self.datagrams {
            // A lost connection is about to leave; any other failure is a lost datagram.
            let _ = connection.send_datagram(bytes);
        }
    }

    pub(super) fn send_stream(&self, chunks: Vec<Bytes>) {
        // There was room, or the viewer is gone.
        let _ = self.stream.try_send(chunks);
    }

    /// Lets go of the viewer, with a reason of its own.
    pub(super) fn dismiss(self, reason: String) {
        let _ = self.farewell.set(reason);
    }
}

/// Serves one viewer's stream to its end. A viewer that finishes its side has seen enough.
pub(super) async fn watch(greeted: Greeted, lobby: Arc<Lobby>) -> Result<(), StreamError> {
    let Greeted { sender, receiver, connection, .. } = greeted;
    let Some((visit, inbox)) = lobby.admit(Format::Frames, Some(connection)).await else { return Ok(()) };
    let ended = tokio::select! {
        ended = read(receiver, &visit) => ended,
        ended = write(sender, inbox) => ended,
    };
    visit.end().await;
    ended
}

async fn read(mut receiver: FrameReceiver, visit: &Visit) -> Result<(), StreamError> {
    let viewer = visit.viewer;
    while let Some(message) = receiver.message::<ToBroadcast>().await? {
        if !visit.tell(Input::Viewer { viewer, message }).await {
            break;
        }
    }
    Ok(())
}

async fn write(mut sender: FrameSender, mut inbox: Inbox) -> Result<(), StreamError> {
    while let Some(chunks) = inbox.chunks.recv().await {
        for chunk in chunks {
            sender.send_raw(chunk).await?;
        }
    }
    let leaving = || "this node is leaving: watch on another".to_owned();
    let reason = inbox.farewell.get().cloned().unwrap_or_else(leaving);
    sender
        .send(FrameKind::Message, &FromBroadcast::Move { reason, alternates: Vec::new(), within_ms: 0 })
        .await?;
    sender.finish();
    let _ = tokio::time::timeout(FAREWELL, sender.flushed()).await;
    Ok(())
}
