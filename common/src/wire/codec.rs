//! The one place that knows bincode: if it must go, only this file changes.

use crate::limits::NODE_FRAME_BYTES;
use serde::{Serialize, de::DeserializeOwned};

/// Bytes that are not the message they should be. Nothing was counted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Truncated, over a limit, or otherwise not of the message's form.
    #[error("the message does not decode: {0}")]
    Malformed(String),
    /// More than any frame holds.
    #[error("the message has {0} bytes; a frame takes {NODE_FRAME_BYTES}")]
    TooLong(usize),
    /// A message, and then more.
    #[error("the message is followed by {0} bytes that do not belong to it")]
    Trailing(usize),
}

/// The limit stops a length prefix in a short message from allocating what it claims.
fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<NODE_FRAME_BYTES>()
}

/// The message as bytes.
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
/// As [`encode`]; what was appended by then is to be thrown away.
pub fn encode_into<T: Serialize>(message: &T, bytes: &mut Vec<u8>) -> Result<(), CodecError> {
    let start = bytes.len();
    bincode::serde::encode_into_std_write(message, bytes, config())
        .map_err(|e| CodecError::Malformed(e.to_string()))?;
    // The limit in the configuration is for decoding alone.
    let length = bytes.len() - start;
    if length > NODE_FRAME_BYTES { Err(CodecError::TooLong(length)) } else { Ok(()) }
}

/// The message that these bytes are, whole.
///
/// # Errors
/// When they are not exactly one message.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let (message, rest) = decode_prefix(bytes)?;
    if rest.is_empty() { Ok(message) } else { Err(CodecError::Trailing(rest.len())) }
}

/// The message at the front of these bytes, and what follows it.
///
/// # Errors
/// When they do not begin with one.
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
