//! Finds out whether merges are on the server's disk when they are answered.
//!
//! A leaf trims its log as soon as a merge is called durable, so only a server that can't lose it says so, in
//! the very pipeline that merged: `WAITAOF` confirms the fsync, it is set to fsync before it answers
//! (`appendfsync always`), and it is a primary without replicas. Durable then means: on *this node's* disk.
//!
//! * `appendfsync everysec`: a confirmation would hold up every merge for up to a second, and some 7.4 servers
//!   give it too early. Such merges are not called durable; the leaves keep their logs for the retention. They
//!   need them even when only the process dies: while an fsync is under way such a server answers before it writes.
//! * `always` without `WAITAOF` (before 7.2): the reply waits for the fsync, but for
//!   `no-appendfsync-on-rewrite`, and the settings can change under way. Not durable either.
//! * Replicas, and with them every Redis Cluster: one that takes over has what it had received. A replica that
//!   is away is not seen here; an operator who promotes it by hand loses what was merged meanwhile.

use redis::{Pipeline, ServerError, Value, cmd, from_redis_value};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A server that fsyncs before it answers confirms at once; another is not waited for.
const WAIT_MS: u64 = 20;
/// A server that did not confirm is asked again this much later.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// The number of answers that [`ask`] adds to a pipeline.
pub(super) const QUESTIONS: usize = 3;

/// Asks whether all that was written before, on this connection, can be lost.
pub(super) fn ask(pipeline: &mut Pipeline) {
    let mut wait = cmd("WAITAOF");
    wait.arg(1).arg(0).arg(WAIT_MS);
    let mut fsync = cmd("CONFIG");
    fsync.arg("GET").arg("appendfsync");
    pipeline.add_command(wait).add_command(fsync).add_command(cmd("ROLE"));
}

/// The reason why merges are not durable when they are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Forgetful {
    #[error("it has no WAITAOF: take Redis 7.2 or later")]
    Old,
    #[error("its AOF is off: set appendonly to yes")]
    NoAof,
    #[error("it does not fsync before it answers: set appendfsync to always")]
    Lazy,
    #[error("a replica that takes its place may lack the last merges")]
    Replicated,
    #[error("it does not tell: allow CONFIG GET, ROLE and WAITAOF")]
    Silent,
    #[error("its disk does not keep up")]
    Late,
}

/// Reads the answers to [`ask`].
pub(super) fn judge(answers: &[Value]) -> Result<(), Forgetful> {
    let [wait, fsync, role] = answers else { return Err(Forgetful::Silent) };
    let synced = match wait {
        Value::ServerError(e) => return Err(refusal(e)),
        Value::Array(counts) => counts.first(),
        _ => None,
    };
    let settings: HashMap<String, String> = from_redis_value(fsync.clone()).unwrap_or_default();
    match settings.get("appendfsync").map(String::as_str) {
        Some("always") => {}
        Some(_) => return Err(Forgetful::Lazy),
        None => return Err(Forgetful::Silent),
    }
    let Value::Array(role) = role else { return Err(Forgetful::Silent) };
    match (role.first(), role.get(2)) {
        (Some(Value::BulkString(word)), Some(Value::Array(replicas))) if word == b"master" => {
            if !replicas.is_empty() {
                return Err(Forgetful::Replicated);
            }
        }
        _ => return Err(Forgetful::Replicated),
    }
    match synced {
        Some(Value::Int(1..)) => Ok(()),
        _ => Err(Forgetful::Late),
    }
}

fn refusal(e: &ServerError) -> Forgetful {
    let text = e.details().unwrap_or_default();
    match e.code() {
        "ERR" if text.contains("unknown command") => Forgetful::Old,
        "ERR" if text.contains("appendonly") => Forgetful::NoAof,
        "ERR" if text.contains("replica") => Forgetful::Replicated,
        _ => Forgetful::Silent,
    }
}

#[derive(Debug, Default)]
struct Known {
    verdict: Option<Result<(), Forgetful>>,
    ask_at: Option<Instant>,
}

/// The server's durability, as far as it is known: a server that does not confirm is not asked each time.
#[derive(Debug, Default)]
pub(super) struct Durability(Mutex<Known>);

impl Durability {
    /// Whether to ask with the next merge.
    pub(super) fn is_asked(&self) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let is_due = known.verdict == Some(Ok(())) || known.ask_at.is_none_or(|at| now >= at);
        if is_due {
            // One merge finds out; those beside it don't wait for the same answer.
            known.ask_at = Some(now + ASK_AGAIN);
        }
        is_due
    }

    /// Takes the answers, and says in the log what is new; returns whether the merges before them are durable.
    pub(super) fn learn(&self, answers: &[Value]) -> bool {
        let verdict = judge(answers);
        let before = {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            known.verdict.replace(verdict)
        };
        if before != Some(verdict) {
            match verdict {
                Ok(()) => tracing::info!("Redis has merges on its disk when it answers them"),
                Err(why) => {
                    tracing::info!(
                        "Redis may forget its last merges, leaves keep their logs for that: {why}"
                    );
                }
            }
        }
        verdict.is_ok()
    }
}

#[cfg(test)]
#[path = "durability_tests.rs"]
mod tests;
