//! The path of bytes from the core to one viewer: a queue for the stream, and the connection for datagrams.

use crate::machine::{DatagramRoom, Room};
use bytes::Bytes;
use std::sync::{Arc, OnceLock};
use tokio::sync::mpsc;

/// Pieces of stream that wait for the one being written.
const STREAM_QUEUE: usize = 1;

/// Makes both ends; viewers over HTTP have no connection for datagrams.
pub(super) fn new(connection: Option<quinn::Connection>) -> (ViewerSink, Inbox) {
    let (stream, chunks) = mpsc::channel(STREAM_QUEUE);
    let farewell = Arc::new(OnceLock::new());
    let datagrams = connection.map(|connection| {
        // Nothing was sent yet, so the buffer is empty.
        let idle_room = connection.datagram_send_buffer_space();
        Datagrams { connection, idle_room }
    });
    (ViewerSink { stream, datagrams, farewell: farewell.clone() }, Inbox { chunks, farewell })
}

/// The viewer's end: bytes that the core sends it.
#[derive(Debug)]
pub(super) struct Inbox {
    /// Ends when the core drops the viewer's sink.
    pub(super) chunks: mpsc::Receiver<Vec<Bytes>>,
    farewell: Arc<OnceLock<String>>,
}

impl Inbox {
    /// The reason why the core has dismissed the viewer.
    pub(super) fn dismissal(&self) -> Option<String> {
        self.farewell.get().cloned()
    }
}

/// The core's end: takes bytes for one viewer, and tells how much room there is.
#[derive(Debug)]
pub(super) struct ViewerSink {
    stream: mpsc::Sender<Vec<Bytes>>,
    datagrams: Option<Datagrams>,
    farewell: Arc<OnceLock<String>>,
}

#[derive(Debug)]
struct Datagrams {
    connection: quinn::Connection,
    /// The size of the empty send buffer.
    idle_room: usize,
}

impl ViewerSink {
    /// Returns the room on the viewer's connection at this moment.
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
            // The path takes no more for now: stream bytes would wait as well, and go stale.
            Some(_) => Room::NONE,
        }
    }

    pub(super) fn send_datagram(&self, bytes: Bytes) {
        if let Some(Datagrams { connection, .. }) = &self.datagrams {
            // A lost connection is about to be dropped; any other failure is a lost datagram.
            let _ = connection.send_datagram(bytes);
        }
    }

    pub(super) fn send_stream(&self, chunks: Vec<Bytes>) {
        // There was room, or the viewer is gone.
        let _ = self.stream.try_send(chunks);
    }

    /// Ends the viewer's stream with this reason.
    pub(super) fn dismiss(self, reason: String) {
        let _ = self.farewell.set(reason);
    }
}
