//! Reads the body of `POST /v1/events`, which is one JSON event, an array, or NDJSON, and its `Idempotency-Key`. All of
//! it is read and checked before any of it is counted.

use axum::http::HeaderMap;
use countree_common::delta::Delta;
use countree_common::event::Event;
use countree_common::key::Counter;
use countree_common::limits;
use countree_common::wire::keys::content;
use countree_common::wire::producer::{EventError, EventErrorCode};
use serde::Deserialize;
use serde::de::{DeserializeSeed, SeqAccess, Visitor};
use std::borrow::Cow;
use xxhash_rust::xxh3::Xxh3;

/// An event as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonEvent<'a> {
    #[serde(borrow)]
    topic: Cow<'a, str>,
    #[serde(borrow)]
    item: Cow<'a, str>,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(default = "one")]
    delta: i64,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
}

/// The mark with which some programs begin a UTF-8 text. JSON allows a reader to pass over it (RFC 8259, 8.1).
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

fn one() -> i64 {
    1
}

/// The events of a request, and the hash of each one's `id` (0 for one without); none where no event has one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parsed {
    pub(super) events: Vec<Event>,
    pub(super) ids: Vec<u128>,
}

/// Hashes what a client calls a key. Request keys and event ids don't meet: they are hashed apart.
pub(super) fn key_hash(namespace: &str, key: &str) -> u128 {
    let mut hash = Xxh3::new();
    hash.update(namespace.as_bytes());
    hash.update(&[0xff]);
    hash.update(key.as_bytes());
    // 0 stands for "no key".
    hash.digest128().max(1)
}

/// The hash of the `Idempotency-Key` header; `None` without one.
///
/// # Errors
/// When there are several, or it is no valid key.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<u128>, EventError> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(EventError {
            code: EventErrorCode::Malformed,
            message: "the request has several Idempotency-Key headers: send one".into(),
            index: None,
        });
    }
    let bytes = value.as_bytes();
    match value.to_str() {
        Ok(key) if (1..=limits::IDEMPOTENCY_KEY_BYTES).contains(&bytes.len()) => {
            Ok(Some(key_hash("request", key)))
        }
        _ => Err(EventError {
            code: EventErrorCode::BadName,
            message: format!(
                "Idempotency-Key takes 1 to {} visible ASCII characters",
                limits::IDEMPOTENCY_KEY_BYTES
            ),
            index: None,
        }),
    }
}

fn error(code: EventErrorCode, message: impl Into<String>, index: Option<usize>) -> EventError {
    EventError { code, message: message.into(), index: index.and_then(|i| u32::try_from(i).ok()) }
}

impl Parsed {
    /// Reads a body.
    ///
    /// # Errors
    /// When any event of it is bad; the index says which.
    pub(super) fn read(body: &[u8]) -> Result<Self, EventError> {
        let mut parsed = Self::default();
        let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
        match body.iter().find(|b| !b.is_ascii_whitespace()) {
            None => {
                return Err(error(EventErrorCode::Malformed, "the body is empty: send a JSON event", None));
            }
            Some(b'[') => parsed.read_array(body)?,
            Some(_) => parsed.read_lines(body)?,
        }
        if parsed.events.is_empty() {
            return Err(error(EventErrorCode::Malformed, "the array has no events", None));
        }
        if parsed.ids.iter().all(|id| *id == 0) {
            parsed.ids.clear();
        }
        Ok(parsed)
    }

    fn read_array(&mut self, body: &[u8]) -> Result<(), EventError> {
        let mut refused = None;
        let mut json = serde_json::Deserializer::from_slice(body);
        let result =
            Elements { parsed: self, refused: &mut refused }.deserialize(&mut json).and_then(|()| json.end());
        match (refused, result) {
            (Some(refused), _) => Err(refused),
            (None, Err(e)) => Err(self.malformed(&e)),
            (None, Ok(())) => Ok(()),
        }
    }

    fn read_lines(&mut self, body: &[u8]) -> Result<(), EventError> {
        for written in serde_json::Deserializer::from_slice(body).into_iter::<JsonEvent<'_>>() {
            let written = written.map_err(|e| self.malformed(&e))?;
            self.take(written)?;
        }
        Ok(())
    }

    fn malformed(&self, e: &serde_json::Error) -> EventError {
        error(EventErrorCode::Malformed, format!("not an event: {e}"), Some(self.events.len()))
    }

    fn take(&mut self, written: JsonEvent<'_>) -> Result<(), EventError> {
        let index = self.events.len();
        if index == limits::HTTP_EVENTS {
            let message = format!("more than {} events: send them in several requests", limits::HTTP_EVENTS);
            return Err(error(EventErrorCode::TooLarge, message, None));
        }
        let bad_name =
            |e: countree_common::key::NameError| error(EventErrorCode::BadName, e.to_string(), Some(index));
        let counter = Counter::new(&written.topic, &written.item, &written.kind).map_err(bad_name)?;
        let delta = Delta::new(written.delta)
            .map_err(|e| error(EventErrorCode::BadDelta, e.to_string(), Some(index)))?;
        let id = match written.id.as_deref() {
            None => 0,
            Some(id) if (1..=limits::IDEMPOTENCY_KEY_BYTES).contains(&id.len()) => key_hash("event", id),
            Some(id) => {
                let message =
                    format!("id has {} bytes; it takes 1 to {}", id.len(), limits::IDEMPOTENCY_KEY_BYTES);
                return Err(error(EventErrorCode::BadName, message, Some(index)));
            }
        };
        self.events.push(Event { counter, delta });
        self.ids.push(id);
        Ok(())
    }

    /// Hash of the events and their ids, to tell a repeated request from another under the same key.
    pub(super) fn content_hash(&self) -> u128 {
        let events = content(&self.events);
        if self.ids.is_empty() {
            return events;
        }
        let mut hash = Xxh3::new();
        hash.update(&events.to_le_bytes());
        self.ids.iter().for_each(|id| hash.update(&id.to_le_bytes()));
        hash.digest128().max(1)
    }
}

/// Reads an array's elements one by one, so that an error knows its index.
struct Elements<'p> {
    parsed: &'p mut Parsed,
    refused: &'p mut Option<EventError>,
}

impl<'de> DeserializeSeed<'de> for Elements<'_> {
    type Value = ();
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Elements<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while let Some(written) = elements.next_element::<JsonEvent<'de>>()? {
            if let Err(e) = self.parsed.take(written) {
                *self.refused = Some(e);
                return Err(serde::de::Error::custom("refused"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
