//! Encodes and decodes messages. Only this file knows bincode.

use crate::limits::NODE_FRAME_BYTES;
use serde::{Serialize, de::DeserializeOwned};

/// The error of bytes that are not the expected message. Nothing was counted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The message is truncated, over a limit, or otherwise malformed.
    #[error("the message does not decode: {0}")]
    Malformed(String),
    /// The message is larger than any frame.
    #[error("the message has {0} bytes; a frame takes {NODE_FRAME_BYTES}")]
    TooLong(usize),
    /// Bytes are left after the message.
    #[error("the message is followed by {0} bytes that do not belong to it")]
    Trailing(usize),
}

/// The limit keeps a length prefix in a short message from allocating as much as it claims.
fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<NODE_FRAME_BYTES>()
}

/// Encodes a message.
///
/// # Errors
/// When the message is larger than [`NODE_FRAME_BYTES`].
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, CodecError> {
    let mut bytes = Vec::new();
    encode_into(message, &mut bytes)?;
    Ok(bytes)
}

/// Appends the message.
///
/// # Errors
/// As [`encode`]; the caller then has to discard the bytes that were appended.
pub fn encode_into<T: Serialize>(message: &T, bytes: &mut Vec<u8>) -> Result<(), CodecError> {
    let start = bytes.len();
    bincode::serde::encode_into_std_write(message, bytes, config())
        .map_err(|e| CodecError::Malformed(e.to_string()))?;
    // The configured limit applies to decoding alone.
    let length = bytes.len() - start;
    if length > NODE_FRAME_BYTES { Err(CodecError::TooLong(length)) } else { Ok(()) }
}

/// Decodes bytes that are exactly one message.
///
/// # Errors
/// When the bytes are not exactly one message.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let (message, rest) = decode_prefix(bytes)?;
    if rest.is_empty() { Ok(message) } else { Err(CodecError::Trailing(rest.len())) }
}

/// Decodes the message at the start of these bytes; returns it with the rest.
///
/// # Errors
/// When the bytes do not begin with a message.
pub fn decode_prefix<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, &[u8]), CodecError> {
    let (message, used) = bincode::serde::borrow_decode_from_slice(bytes, config())
        .map_err(|e| CodecError::Malformed(e.to_string()))?;
    Ok((message, bytes.get(used..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailing_bytes_are_refused() {
        let mut bytes = encode(&7u32).unwrap();
        assert_eq!(decode::<u32>(&bytes), Ok(7));
        bytes.push(0);
        assert_eq!(decode::<u32>(&bytes), Err(CodecError::Trailing(1)));
    }

    #[test]
    fn a_short_message_that_claims_gigabytes_is_refused() {
        let claims_64_gib = [0xfd, 0, 0, 0, 0, 0x10, 0, 0, 0];
        assert!(matches!(decode::<Vec<u64>>(&claims_64_gib), Err(CodecError::Malformed(_))));
    }
}
