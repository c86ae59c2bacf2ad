//! Frames: `length u32 LE`, `kind u8`, body. The length counts the kind and the body.

use super::codec::{self, CodecError};
use bytes::{Buf, Bytes, BytesMut};
use serde::{Serialize, de::DeserializeOwned};

/// Bytes before a frame's body.
pub const HEADER_BYTES: usize = 5;

/// The content of a frame's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// A [`super::hello::Hello`], first on every stream.
    Hello = 1,
    /// A message of the stream's conversation.
    Message = 2,
    /// A [`super::batch`] of events.
    Batch = 3,
    /// A [`super::hello::Refusal`], last on its stream.
    Refusal = 4,
}

impl FrameKind {
    fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Hello),
            2 => Some(Self::Message),
            3 => Some(Self::Batch),
            4 => Some(Self::Refusal),
            _ => None,
        }
    }
}

/// The error of a stream of frames, which can't go on. Frames before the bad one are valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length is over the limit; nothing was allocated for it.
    #[error("a frame claims {claimed} bytes; the limit is {limit}")]
    TooLong {
        /// The length in the header.
        claimed: usize,
        /// The limit of this stream.
        limit: usize,
    },
    /// A frame is empty, without even a kind.
    #[error("a frame has no kind")]
    Empty,
    /// This version does not know the kind.
    #[error("frame kind {0} is not known here")]
    UnknownKind(u8),
    /// The kind does not belong here.
    #[error("a frame of kind {got:?} where {expected:?} belongs")]
    Unexpected {
        /// The kind that came.
        got: FrameKind,
        /// The kind that was expected.
        expected: FrameKind,
    },
    /// The body does not decode.
    #[error(transparent)]
    Body(#[from] CodecError),
}

/// One frame, taken off a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The kind of the body's content.
    pub kind: FrameKind,
    /// The bytes after the header.
    pub body: Bytes,
}

impl Frame {
    /// Decodes the body as a message, if this frame is of that kind.
    ///
    /// # Errors
    /// When the kind is another, or the body does not decode.
    pub fn decode<T: DeserializeOwned>(&self, expected: FrameKind) -> Result<T, FrameError> {
        if self.kind != expected {
            return Err(FrameError::Unexpected { got: self.kind, expected });
        }
        Ok(codec::decode(&self.body)?)
    }
}

/// Appends a frame around `body`.
pub fn put(kind: FrameKind, body: &[u8], out: &mut Vec<u8>) {
    out.reserve(HEADER_BYTES + body.len());
    out.extend_from_slice(&header(kind, body.len()));
    out.extend_from_slice(body);
}

/// Returns the header of a frame with a body of that length.
pub fn header(kind: FrameKind, body_bytes: usize) -> [u8; HEADER_BYTES] {
    let length = u32::try_from(body_bytes + 1).unwrap_or(u32::MAX).to_le_bytes();
    [length[0], length[1], length[2], length[3], kind as u8]
}

/// Encodes a message as a whole frame.
///
/// # Errors
/// When the message is larger than any frame.
pub fn message<T: Serialize>(kind: FrameKind, message: &T) -> Result<Bytes, CodecError> {
    let mut out = vec![0; HEADER_BYTES];
    codec::encode_into(message, &mut out)?;
    let header = header(kind, out.len() - HEADER_BYTES);
    out[..HEADER_BYTES].copy_from_slice(&header);
    Ok(out.into())
}

/// Splits a stream's bytes into frames.
#[derive(Debug)]
pub struct FrameReader {
    buffer: BytesMut,
    limit: usize,
}

impl FrameReader {
    /// Makes a decoder for a stream whose frame bodies have at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), limit }
    }

    /// Changes the limit from the next frame on.
    pub fn with_limit(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    /// Takes received bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether the bytes so far end inside a frame.
    pub fn is_mid_frame(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Returns the next frame, if all of it has arrived.
    ///
    /// # Errors
    /// When the stream is not a sequence of frames; it can't be read any further.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some(length) = self.buffer.first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_le_bytes(*length) as usize;
        if length > self.limit + 1 {
            return Err(FrameError::TooLong { claimed: length - 1, limit: self.limit });
        }
        let Some(&kind) = self.buffer.get(4) else {
            return if length == 0 { Err(FrameError::Empty) } else { Ok(None) };
        };
        if length == 0 {
            return Err(FrameError::Empty);
        }
        let kind = FrameKind::from_byte(kind).ok_or(FrameError::UnknownKind(kind))?;
        if self.buffer.len() < 4 + length {
            return Ok(None);
        }
        let mut frame = self.buffer.split_to(4 + length);
        frame.advance(HEADER_BYTES);
        Ok(Some(Frame { kind, body: frame.freeze() }))
    }
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
