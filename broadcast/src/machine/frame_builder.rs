//! Collecting the bytes for one viewer: at most one datagram, and one stretch of its stream.

use super::away::Away;
use super::viewers::Viewer;
use bytes::Bytes;
use countree_common::limits::DATAGRAM_BYTES;

/// Most bytes that one viewer is given on its stream at once; the rest waits for the next tick. A snapshot is
/// never split.
const STREAM_BYTES_AT_ONCE: usize = 1 << 20;

/// Room on a viewer's connection at this moment, as the shell sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// For a datagram.
    pub datagram: DatagramRoom,
    /// Whether the stream takes more: earlier bytes have left.
    pub stream: bool,
}

impl Room {
    /// No room at all.
    pub const NONE: Self = Self { datagram: DatagramRoom::Waiting, stream: false };
}

/// Room for a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatagramRoom {
    /// The viewer never takes datagrams: everything goes on the stream.
    Never,
    /// The last datagram still waits.
    Waiting,
    /// Room for this many bytes.
    Bytes(usize),
}

/// Collects the datagram and the stream bytes for one viewer.
pub(super) struct FrameBuilder {
    pub(super) datagram: Vec<Bytes>,
    /// Bytes left in the datagram.
    datagram_room: usize,
    pub(super) takes_datagrams: bool,
    pub(super) stream: Vec<Bytes>,
    /// Bytes left on the stream; 0 while it is not ready.
    stream_room: usize,
}

impl FrameBuilder {
    pub(super) fn new(room: Room) -> Self {
        let datagram_room = match room.datagram {
            DatagramRoom::Bytes(bytes) => bytes.min(DATAGRAM_BYTES),
            DatagramRoom::Never | DatagramRoom::Waiting => 0,
        };
        Self {
            datagram: Vec::new(),
            datagram_room,
            takes_datagrams: room.datagram != DatagramRoom::Never,
            stream: Vec::new(),
            stream_room: if room.stream { STREAM_BYTES_AT_ONCE } else { 0 },
        }
    }

    pub(super) fn put_datagram(&mut self, part: &Bytes) -> bool {
        let fits = part.len() <= self.datagram_room;
        if fits {
            self.datagram_room -= part.len();
            self.datagram.push(part.clone());
        }
        fits
    }

    /// Adds the message that the node is leaving, if it is and the viewer has not got it; returns false when
    /// that has to wait.
    pub(super) fn put_farewell(&mut self, farewell: Option<&Bytes>, viewer: &mut Viewer) -> bool {
        if let Some(farewell) = farewell
            && !viewer.knows_farewell
        {
            if !self.stream_open() {
                return false;
            }
            viewer.knows_farewell = true;
            self.put_stream(farewell.clone());
        }
        true
    }

    /// Adds the list of leaves that are away, if the viewer asked for it and has another; returns false when
    /// that has to wait.
    pub(super) fn put_away(&mut self, away: &Away, viewer: &mut Viewer) -> bool {
        if viewer.wants_away && viewer.told_away != Some(away.id) {
            if !self.stream_open() {
                return false;
            }
            viewer.told_away = Some(away.id);
            self.put_stream(away.frame.clone());
        }
        true
    }

    pub(super) fn stream_open(&self) -> bool {
        self.stream_room > 0
    }

    pub(super) fn put_stream(&mut self, bytes: Bytes) {
        self.stream_room = self.stream_room.saturating_sub(bytes.len());
        self.stream.push(bytes);
    }
}

/// The datagram that was built last: viewers of the same topics share it.
#[derive(Debug, Default)]
pub(super) struct Packed {
    parts: Vec<Bytes>,
    whole: Bytes,
}

impl Packed {
    pub(super) fn pack(&mut self, parts: Vec<Bytes>) -> Bytes {
        if let [one] = parts.as_slice() {
            return one.clone();
        }
        let same = |(a, b): (&Bytes, &Bytes)| std::ptr::eq(a.as_ptr(), b.as_ptr()) && a.len() == b.len();
        // Parts that are the same memory are the same bytes: `self.parts` keeps that memory alive.
        if self.parts.len() != parts.len() || !self.parts.iter().zip(&parts).all(same) {
            self.whole = parts.concat().into();
            self.parts = parts;
        }
        self.whole.clone()
    }
}
