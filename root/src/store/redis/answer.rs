//! Reads the answers of the scripts.

use super::refusal::refused;
use crate::store::StoreError;
use countree_common::cut::{Applied, Outcome};
use countree_common::document::Version;
use countree_common::forget::{ForgetOutcome, Tombstone};
use redis::{ServerErrorKind, Value};
use std::str::FromStr;

/// Whether the server does not know the script, and so has done nothing.
pub(super) fn is_missing_script(answer: &Value) -> bool {
    matches!(answer, Value::ServerError(e) if e.kind() == Some(ServerErrorKind::NoScript))
}

/// The script's answer, or why there is none; `durable` goes into it.
pub(super) fn outcome(answer: Value, durable: bool) -> Result<Outcome, StoreError> {
    understood(answer, |words| words.outcome(durable))
}

/// Reads the answer of `forget.lua`; `durable` goes into it.
pub(super) fn forgetting(answer: Value, durable: bool) -> Result<ForgetOutcome, StoreError> {
    understood(answer, |words| words.forgetting(durable))
}

fn understood<T>(answer: Value, read: impl FnOnce(Words<'_>) -> Option<T>) -> Result<T, StoreError> {
    let read = match answer {
        Value::ServerError(e) => return Err(refused(&e)),
        Value::Array(words) => read(Words(words.iter())),
        _ => None,
    };
    read.ok_or_else(|| StoreError::Failed("Redis gave no answer of ours".into()))
}

/// Reads the answer of `write.lua`: the totals that were not known; `None` when nothing was written.
pub(super) fn gained(answer: Value) -> Result<Option<Vec<i64>>, StoreError> {
    let totals = match answer {
        Value::ServerError(e) => return Err(refused(&e)),
        Value::Int(0) => return Ok(None),
        Value::Array(totals) => totals.iter().map(total).collect(),
        _ => None,
    };
    totals.map(Some).ok_or_else(|| StoreError::Failed("Redis gave no answer of ours".into()))
}

/// The words of an answer, read one after the other.
struct Words<'a>(std::slice::Iter<'a, Value>);

impl Words<'_> {
    fn next<T: FromStr>(&mut self) -> Option<T> {
        parse(self.0.next()?)
    }

    fn version(&mut self) -> Option<Version> {
        let era = self.next()?;
        Some(Version { era, number: self.next()? })
    }

    fn forgetting(mut self, durable: bool) -> Option<ForgetOutcome> {
        let kind: String = self.next()?;
        Some(match kind.as_str() {
            "unknown" => ForgetOutcome::Unknown,
            "moved" => ForgetOutcome::Moved(self.version()?),
            "gone" => {
                let (version, events) = (self.version()?, self.next()?);
                let was_gone = self.next::<u8>()? == 1;
                ForgetOutcome::Forgotten(Tombstone { version, events, was_gone, durable })
            }
            _ => return None,
        })
    }

    fn outcome(mut self, durable: bool) -> Option<Outcome> {
        let kind: String = self.next()?;
        Some(match kind.as_str() {
            "have" => Outcome::Have { lsn: self.next()?, events: self.next()?, version: self.version()? },
            "overflow" => Outcome::Overflow,
            "applied" => {
                let (base, version, events) = (self.version()?, self.version()?, self.next()?);
                let totals = self.0.map(total).collect::<Option<_>>()?;
                Outcome::Applied(Applied { version, base, totals, events, durable })
            }
            _ => return None,
        })
    }
}

/// A total is a number where the script could add it as one.
fn total(word: &Value) -> Option<i64> {
    match word {
        Value::Int(total) => Some(*total),
        text => parse(text),
    }
}

fn parse<T: FromStr>(word: &Value) -> Option<T> {
    match word {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok()?.parse().ok(),
        _ => None,
    }
}
