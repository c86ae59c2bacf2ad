//! Gives each record its bytes, and reads them back.
//!
//! ```text
//! length u32 (of the body) | crc32 u32 (of all that follows) | lsn u64 | durable u64 | kind u8 | body
//! ```
//! `durable` is the last LSN that was known to be on disk when the record was made: it lets a reader tell
//! a torn write from damage to what had been fsynced.

use super::{Record, Submission};
use countree_common::session::SessionId;
use countree_common::stream::Lsn;
use countree_common::time::WallMs;
use countree_common::wire::codec;
use countree_common::wire::keys::{IdempotencyKey, KeyState, KeyUse, Remembered};
use serde::{Deserialize, Serialize};

/// Bytes before a record's body.
pub const HEADER_BYTES: usize = 25;

const CHECKPOINT: u8 = 1;
const OPEN: u8 = 2;
const BATCH: u8 = 4;
/// A record of earlier builds, like [`UNSCOPED_KEYS`] and [`UNSCOPED_INHERITED`]: ids have no topic, and nothing is
/// noted.
const UNSCOPED_SUBMISSION: u8 = 5;
const UNSCOPED_KEYS: u8 = 6;
const SEAL: u8 = 7;
const UNSCOPED_INHERITED: u8 = 8;
const SUBMISSION: u8 = 9;
const KEYS: u8 = 10;
const INHERITED: u8 = 11;
const NOTED: u8 = 12;
const RETIRED: u8 = 16;

/// Appends a record to a segment's bytes.
///
/// # Errors
/// When the record can't be encoded; nothing was appended.
pub fn put(record: &Record<'_>, lsn: Lsn, durable: Lsn, out: &mut Vec<u8>) -> Result<(), codec::CodecError> {
    let start = out.len();
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&lsn.to_le_bytes());
    out.extend_from_slice(&durable.to_le_bytes());
    let kind_at = out.len();
    out.push(0);
    let kind = match put_body(record, out) {
        Ok(kind) => kind,
        Err(e) => {
            out.truncate(start);
            return Err(e);
        }
    };
    out[kind_at] = kind;
    let length = (out.len() - start - HEADER_BYTES) as u32;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    let crc = crc32fast::hash(&out[start + 8..]);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    Ok(())
}

fn put_body(record: &Record<'_>, out: &mut Vec<u8>) -> Result<u8, codec::CodecError> {
    let number = |out: &mut Vec<u8>, n: u64| out.extend_from_slice(&n.to_le_bytes());
    let short = |out: &mut Vec<u8>, n: u32| out.extend_from_slice(&n.to_le_bytes());
    match record {
        Record::Checkpoint(checkpoint) => {
            codec::encode_into(checkpoint, out)?;
            Ok(CHECKPOINT)
        }
        Record::Keys(keys) => {
            codec::encode_into(keys, out)?;
            Ok(KEYS)
        }
        Record::Open { session, at } => {
            out.extend_from_slice(&session.0.to_le_bytes());
            number(out, at.0);
            Ok(OPEN)
        }
        Record::Batch { session, seq, at, event_count, definitions, words } => {
            out.extend_from_slice(&session.0.to_le_bytes());
            number(out, *seq);
            number(out, at.0);
            short(out, *event_count);
            short(out, definitions.len() as u32);
            out.extend_from_slice(definitions);
            out.extend_from_slice(words);
            Ok(BATCH)
        }
        Record::Submission(submission) => {
            number(out, submission.at.0);
            let keys = codec::encode(&submission.keys)?;
            short(out, keys.len() as u32);
            short(out, submission.names.len() as u32);
            short(out, submission.event_count);
            out.extend_from_slice(&keys);
            out.extend_from_slice(submission.names);
            out.extend_from_slice(submission.words);
            Ok(SUBMISSION)
        }
        Record::Seal => Ok(SEAL),
        Record::Inherited(keys) => {
            codec::encode_into(keys, out)?;
            Ok(INHERITED)
        }
        Record::Noted { keys, at, by } => {
            codec::encode_into(&(keys, at, by), out)?;
            Ok(NOTED)
        }
        Record::Retired(ledgers) => {
            codec::encode_into(ledgers, out)?;
            Ok(RETIRED)
        }
    }
}

/// The header of a record, and the length of the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordHead {
    /// Its position in the stream.
    pub lsn: Lsn,
    /// The last LSN on disk when it was made.
    pub durable: Lsn,
    /// Bytes of header and body.
    pub bytes: usize,
}

/// Takes one whole record off the front; `None` when the bytes there are not one.
pub fn take(bytes: &[u8]) -> Option<(RecordHead, Record<'_>)> {
    let (head, kind, body) = take_whole(bytes)?;
    Some((head, take_body(kind, body)?))
}

/// The kind of the record at the front if it is whole, whether this build knows that kind or not.
pub fn whole_kind(bytes: &[u8]) -> Option<u8> {
    take_whole(bytes).map(|(_, kind, _)| kind)
}

fn take_whole(bytes: &[u8]) -> Option<(RecordHead, u8, Fields<'_>)> {
    let mut fields = Fields(bytes);
    let (length, crc) = (fields.u32()? as usize, fields.u32()?);
    let checked = fields.0.get(..HEADER_BYTES - 8 + length)?;
    if crc32fast::hash(checked) != crc {
        return None;
    }
    let mut fields = Fields(checked);
    let head = RecordHead { lsn: fields.u64()?, durable: fields.u64()?, bytes: HEADER_BYTES + length };
    let kind = fields.u8()?;
    Some((head, kind, fields))
}

fn take_body(kind: u8, mut fields: Fields<'_>) -> Option<Record<'_>> {
    Some(match kind {
        CHECKPOINT => Record::Checkpoint(codec::decode(fields.0).ok()?),
        UNSCOPED_KEYS => Record::Keys(unscoped(codec::decode(fields.0).ok()?)),
        KEYS => Record::Keys(codec::decode(fields.0).ok()?),
        OPEN => Record::Open { session: SessionId(fields.u128()?), at: WallMs(fields.u64()?) },
        BATCH => {
            let (session, seq) = (SessionId(fields.u128()?), fields.u64()?);
            let (at, event_count) = (WallMs(fields.u64()?), fields.u32()?);
            let definition_bytes = fields.u32()? as usize;
            let definitions = fields.slice(definition_bytes)?;
            Record::Batch { session, seq, at, event_count, definitions, words: fields.0 }
        }
        UNSCOPED_SUBMISSION | SUBMISSION => {
            let at = WallMs(fields.u64()?);
            let (key_bytes, name_bytes) = (fields.u32()? as usize, fields.u32()? as usize);
            let event_count = fields.u32()?;
            let keys = fields.slice(key_bytes)?;
            let keys = match kind {
                SUBMISSION => codec::decode(keys).ok()?,
                _ => codec::decode::<Vec<UnscopedUse>>(keys)
                    .ok()?
                    .into_iter()
                    .map(UnscopedUse::scoped)
                    .collect(),
            };
            let names = fields.slice(name_bytes)?;
            Record::Submission(Submission { at, keys, names, event_count, words: fields.0 })
        }
        SEAL => Record::Seal,
        UNSCOPED_INHERITED => Record::Inherited(unscoped(codec::decode(fields.0).ok()?)),
        INHERITED => Record::Inherited(codec::decode(fields.0).ok()?),
        NOTED => {
            let (keys, at, by) = codec::decode(fields.0).ok()?;
            Record::Noted { keys, at, by }
        }
        RETIRED => Record::Retired(codec::decode(fields.0).ok()?),
        _ => return None,
    })
}

/// A used key, as earlier builds wrote it. The content of an event's id is 0.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct UnscopedUse {
    hash: u128,
    content: u128,
}

impl UnscopedUse {
    fn scoped(self) -> KeyUse {
        KeyUse { key: IdempotencyKey::of_request(self.hash), content: self.content }
    }
}

fn unscoped(keys: Vec<(UnscopedUse, WallMs)>) -> Vec<Remembered> {
    let remembered = |(used, at): (UnscopedUse, WallMs)| {
        let KeyUse { key, content } = used.scoped();
        Remembered { key, at, state: KeyState::Used { content } }
    };
    keys.into_iter().map(remembered).collect()
}

/// Little-endian fields, one after another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn slice(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[b]| b)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn u128(&mut self) -> Option<u128> {
        self.array().map(u128::from_le_bytes)
    }
}
