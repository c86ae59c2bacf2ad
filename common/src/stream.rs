//! Leaf streams: one leaf's append-only log for one incarnation.

use crate::cluster::NodeName;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// A record's position in its leaf stream: 1, 2, 3 … 0 means "before the first".
pub type Lsn = u64;

/// One leaf's log for one incarnation. Every start of a leaf opens a new one. Shown as `leaf-0/3`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId {
    /// The leaf's name.
    pub leaf: NodeName,
    /// 1 for its first start, and higher for each one after.
    pub incarnation: u64,
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.leaf, self.incarnation)
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `leaf-0/3` where people read it, the two fields elsewhere.
impl Serialize for StreamId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            (&self.leaf, self.incarnation).serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for StreamId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
        } else {
            let (leaf, incarnation) = Deserialize::deserialize(deserializer)?;
            Ok(Self { leaf, incarnation })
        }
    }
}

/// Not of the form `leaf-0/3`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a leaf stream; one looks like leaf-0/3")]
pub struct StreamIdError(String);

impl std::str::FromStr for StreamId {
    type Err = StreamIdError;
    fn from_str(text: &str) -> Result<Self, StreamIdError> {
        let error = || StreamIdError(text.to_owned());
        let (leaf, incarnation) = text.rsplit_once('/').ok_or_else(error)?;
        let leaf = NodeName::new(leaf).map_err(|_| error())?;
        let incarnation = incarnation.parse().map_err(|_| error())?;
        Ok(Self { leaf, incarnation })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::codec;

    #[test]
    fn a_stream_reads_back_from_text_and_from_bytes() {
        let stream: StreamId = "leaf-0/3".parse().unwrap();
        assert_eq!(serde_json::to_string(&stream).unwrap(), "\"leaf-0/3\"");
        assert_eq!(serde_json::from_str::<StreamId>("\"leaf-0/3\"").unwrap(), stream);
        assert_eq!(codec::decode::<StreamId>(&codec::encode(&stream).unwrap()).unwrap(), stream);
        assert!("leaf-0".parse::<StreamId>().is_err());
    }
}
