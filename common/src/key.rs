//! Names of counters: topic, item and kind, and the counter that the three identify.

use crate::limits;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::sync::Arc;

/// The error of a name that was refused. Nothing was counted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The name has no bytes.
    #[error("{what} is empty; it takes 1 to {max} bytes")]
    Empty {
        /// `topic`, `item` or `kind`.
        what: &'static str,
        /// The longest that is allowed.
        max: usize,
    },
    /// The name is over its limit.
    #[error("{what} has {bytes} bytes; it takes 1 to {max}")]
    TooLong {
        /// `topic`, `item` or `kind`.
        what: &'static str,
        /// Length of the name, in bytes.
        bytes: usize,
        /// The longest that is allowed.
        max: usize,
    },
    /// The bytes are not UTF-8.
    #[error("{what} is not valid UTF-8")]
    NotUtf8 {
        /// `topic`, `item` or `kind`.
        what: &'static str,
    },
}

/// Refuses a name of the wrong length.
fn check(what: &'static str, name: &str, max: usize) -> Result<(), NameError> {
    match name.len() {
        0 => Err(NameError::Empty { what, max }),
        bytes if bytes > max => Err(NameError::TooLong { what, bytes, max }),
        _ => Ok(()),
    }
}

/// Reads a name from borrowed text, without a copy in between.
struct Text<N>(PhantomData<N>);

impl<N: FromStr<Err = NameError>> serde::de::Visitor<'_> for Text<N> {
    type Value = N;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<N, E> {
        name.parse().map_err(E::custom)
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the length.
            pub fn new(name: &str) -> Result<Self, NameError> {
                check($what, name, $max)?;
                Ok(Self(name.into()))
            }

            /// Checks the encoding and the length.
            pub fn from_utf8(bytes: &[u8]) -> Result<Self, NameError> {
                let name = std::str::from_utf8(bytes).map_err(|_| NameError::NotUtf8 { what: $what })?;
                Self::new(name)
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.as_str().to_owned()
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(Text(PhantomData))
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(name: &str) -> Result<Self, NameError> {
                Self::new(name)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

name!(
    /// A topic, which viewers subscribe to: a live stream, a post. Cheap to clone.
    Topic,
    "topic",
    limits::TOPIC_BYTES
);
name!(
    /// An item, which is counted inside a topic: a comment, the stream itself. Cheap to clone.
    Item,
    "item",
    limits::ITEM_BYTES
);
name!(
    /// A kind of event on an item: `like`, `view`, `comment`, `share`, or any other name. Cheap to clone.
    Kind,
    "kind",
    limits::KIND_BYTES
);

/// A [`Counter`]'s names, checked and borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CounterName<'a> {
    /// See [`Counter::topic`].
    pub topic: &'a str,
    /// See [`Counter::item`].
    pub item: &'a str,
    /// See [`Counter::kind`].
    pub kind: &'a str,
}

impl<'a> CounterName<'a> {
    /// Checks the encoding and the length of all three names.
    pub fn from_utf8(topic: &'a [u8], item: &'a [u8], kind: &'a [u8]) -> Result<Self, NameError> {
        let text = |what, bytes, max| {
            let name = std::str::from_utf8(bytes).map_err(|_| NameError::NotUtf8 { what })?;
            check(what, name, max).map(|()| name)
        };
        Ok(Self {
            topic: text("topic", topic, limits::TOPIC_BYTES)?,
            item: text("item", item, limits::ITEM_BYTES)?,
            kind: text("kind", kind, limits::KIND_BYTES)?,
        })
    }
}

impl<'a> From<&'a Counter> for CounterName<'a> {
    fn from(counter: &'a Counter) -> Self {
        let Counter { topic, item, kind } = counter;
        Self { topic: topic.as_str(), item: item.as_str(), kind: kind.as_str() }
    }
}

impl From<CounterName<'_>> for Counter {
    fn from(name: CounterName<'_>) -> Self {
        let CounterName { topic, item, kind } = name;
        Self { topic: Topic(topic.into()), item: Item(item.into()), kind: Kind(kind.into()) }
    }
}

/// A counter: a topic, an item in it, and a kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Counter {
    /// The topic.
    pub topic: Topic,
    /// The item in the topic.
    pub item: Item,
    /// The kind.
    pub kind: Kind,
}

impl Counter {
    /// Checks all three names.
    pub fn new(topic: &str, item: &str, kind: &str) -> Result<Self, NameError> {
        Ok(Self { topic: Topic::new(topic)?, item: Item::new(item)?, kind: Kind::new(kind)? })
    }
}

#[cfg(test)]
#[path = "key_tests.rs"]
mod tests;
