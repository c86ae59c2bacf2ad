//! Parsing of topic paths. Topics have slashes in them, so `live/irl-stream` and `live%2Firl-stream` are
//! the same topic; a last segment `/stream` with a slash of its own asks for the stream. A topic that ends
//! in `/stream` is written with `%2Fstream`.

use countree_common::key::{NameError, Topic};

/// The resource that a path below `/v1/topics/` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TopicPath {
    /// The totals.
    Read(Topic),
    /// The totals as they change.
    Stream(Topic),
}

/// The error of a path that names no topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum TopicPathError {
    /// A `%` without two hexadecimal digits.
    #[error("'%' begins an escape of two hexadecimal digits, like %2F; write the sign itself as %25")]
    Escape,
    /// The topic's name is bad.
    #[error(transparent)]
    Name(#[from] NameError),
}

/// Parses the rest of the path after `/v1/topics/`, still encoded.
pub(super) fn parse(rest: &str) -> Result<TopicPath, TopicPathError> {
    match rest.strip_suffix("/stream") {
        Some(topic) => Ok(TopicPath::Stream(decode(topic)?)),
        None => Ok(TopicPath::Read(decode(rest)?)),
    }
}

fn decode(encoded: &str) -> Result<Topic, TopicPathError> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let (Some(high), Some(low)) = (digit(), digit()) else { return Err(TopicPathError::Escape) };
        // Two hexadecimal digits are a byte.
        bytes.push(u8::try_from(high * 16 + low).unwrap_or(u8::MAX));
    }
    Ok(Topic::from_utf8(&bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(topic: &str) -> Result<TopicPath, TopicPathError> {
        Ok(TopicPath::Read(Topic::new(topic).unwrap()))
    }

    fn stream(topic: &str) -> Result<TopicPath, TopicPathError> {
        Ok(TopicPath::Stream(Topic::new(topic).unwrap()))
    }

    #[test]
    fn slashes_may_be_encoded_or_not() {
        assert_eq!(parse("live/irl-stream"), read("live/irl-stream"));
        assert_eq!(parse("live%2Firl-stream"), read("live/irl-stream"));
        assert_eq!(parse("live/irl-stream/stream"), stream("live/irl-stream"));
        assert_eq!(parse("live%2firl-stream/stream"), stream("live/irl-stream"));
        assert_eq!(parse("%C3%A9%20%25"), read("é %"));
    }

    #[test]
    fn topics_that_look_like_streams_can_be_named() {
        assert_eq!(parse("stream"), read("stream"));
        assert_eq!(parse("live%2Fstream"), read("live/stream"));
        assert_eq!(parse("live%2Fstream/stream"), stream("live/stream"));
        assert_eq!(parse("live/stream/stream"), stream("live/stream"));
    }

    #[test]
    fn what_names_no_topic_is_refused() {
        for bad in ["%", "%2", "%zz", "a%+1"] {
            assert_eq!(parse(bad), Err(TopicPathError::Escape), "{bad}");
        }
        assert!(matches!(parse("%ff"), Err(TopicPathError::Name(NameError::NotUtf8 { .. }))));
        assert!(matches!(parse("/stream"), Err(TopicPathError::Name(NameError::Empty { .. }))));
        assert!(matches!(parse(&"t".repeat(129)), Err(TopicPathError::Name(NameError::TooLong { .. }))));
    }
}
