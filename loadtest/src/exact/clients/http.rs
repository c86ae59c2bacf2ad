//! Senders over HTTP: requests under an Idempotency-Key, repeated verbatim until one is accepted.

use crate::clock::now;
use crate::exact::clients::quic::bounded;
use crate::exact::events::catalogue::EventId;
use crate::exact::events::verdict::{Fate, Group};
use crate::exact::run::Run;
use countree_common::shell::failure::Failure;
use countree_common::shell::http::{self, Answer, HttpError};
use rand::RngExt;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

const IN_DOUBT: u16 = 409;
/// The time between two requests of one sender.
const TICK: Duration = Duration::from_millis(50);
/// The time between two tries of one request.
const RETRY: Duration = Duration::from_millis(100);
const EVENTS: &str = "/v1/events";

/// One sender's task: one request at a time, each try at any leaf.
pub(in crate::exact) struct HttpSender {
    pub(in crate::exact) run: Arc<Run>,
    pub(in crate::exact) number: u16,
    pub(in crate::exact) leaves: Vec<String>,
}

/// The meaning of an answer for the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Accepted,
    /// Refused for good: its repeat would be refused too.
    Refused,
    /// Counted or not: the same request again will tell.
    Again,
    /// Counted or not, and nothing can tell any more: the leaf that knew has lost its disk.
    InDoubt,
}

impl HttpSender {
    /// Sends until the load ends; returns the outcome of each request.
    pub(in crate::exact) async fn work(self) -> Result<Vec<Group>, Failure> {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let (mut groups, mut sent) = (Vec::new(), 0);
        while !self.run.load_over.has_begun() {
            ticks.tick().await;
            let events = self.run.handful(TICK);
            let indices = sent..sent + events;
            sent += events;
            let key = format!("exact-{}-{}", self.number, indices.start);
            let body = self.body(indices.clone())?;
            let meaning = bounded(&self.run, self.repeat(&key, &body)).await;
            let events = u64::from(events);
            let fate = match meaning {
                Some(Meaning::Accepted) => Fate { acked: events, ..Fate::default() },
                Some(Meaning::Refused) => Fate { rejected: events, ..Fate::default() },
                Some(Meaning::Again | Meaning::InDoubt) | None => {
                    Fate { in_doubt: events, ..Fate::default() }
                }
            };
            if matches!(meaning, Some(Meaning::Again) | None) {
                self.run.remark(format!("request {key} was not answered to the end"));
            }
            groups.push(Group { sender: self.number, indices, fate });
        }
        Ok(groups)
    }

    fn body(&self, indices: std::ops::Range<u32>) -> Result<Vec<u8>, Failure> {
        let event = |index| {
            let event = self.run.catalogue.event(EventId { sender: self.number, index })?;
            let (counter, delta) = (event.counter, event.delta);
            let (topic, item, kind) = (counter.topic, counter.item, counter.kind);
            Ok(json!({ "topic": topic, "item": item, "kind": kind, "delta": delta }))
        };
        let events = indices.map(event).collect::<Result<Vec<_>, Failure>>()?;
        Ok(serde_json::to_vec(&events)?)
    }

    async fn repeat(&self, key: &str, body: &[u8]) -> Meaning {
        let headers = [("idempotency-key", key), ("content-type", "application/json")];
        let mut is_repeat = false;
        loop {
            let began = self.run.after();
            let leaf = rand::rng().random_range(0..self.leaves.len().max(1));
            let url = self.leaves.get(leaf).map_or("", String::as_str);
            let answer = http::request("POST", url, EVENTS, &headers, Some(body.to_vec())).await;
            let meaning = match &answer {
                Ok(answer) if answer.status == IN_DOUBT && self.run.loses_disks => Meaning::InDoubt,
                answer => answer.as_ref().map_or(Meaning::Again, meaning),
            };
            if is_repeat || meaning != Meaning::Accepted {
                self.run.note_try(began, &format!("{key} at {url}: {}", show(answer.as_ref())));
            }
            is_repeat = true;
            match meaning {
                Meaning::Again => tokio::time::sleep(RETRY).await,
                Meaning::InDoubt => return Meaning::InDoubt,
                Meaning::Accepted => {
                    let events = accepted(answer.ok().as_ref());
                    self.run.acks.record(events, now());
                    return Meaning::Accepted;
                }
                Meaning::Refused => {
                    let said = answer.map(|a| String::from_utf8_lossy(&a.body).into_owned());
                    self.run.remark(format!("request {key} was refused: {}", said.unwrap_or_default()));
                    return Meaning::Refused;
                }
            }
        }
    }
}

fn show(answer: Result<&Answer, &HttpError>) -> String {
    match answer {
        Ok(answer) => format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body).trim()),
        Err(e) => e.to_string(),
    }
}

fn meaning(answer: &Answer) -> Meaning {
    match answer.status {
        202 => Meaning::Accepted,
        // In doubt, or not now: 409, 429 and server errors.
        IN_DOUBT | 429 | 500.. => Meaning::Again,
        _ => Meaning::Refused,
    }
}

fn accepted(answer: Option<&Answer>) -> u64 {
    let body = answer.and_then(|a| serde_json::from_slice::<serde_json::Value>(&a.body).ok());
    body.and_then(|b| b.get("accepted")?.as_u64()).unwrap_or(0)
}
