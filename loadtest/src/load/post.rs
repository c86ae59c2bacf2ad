//! Sends over HTTP: NDJSON, one request after another on a kept connection.

use super::latency::AckLatency;
use super::plan::Plan;
use super::zipf::Zipf;
use crate::clock::now;
use crate::cluster::endpoints::Endpoints;
use countree_client::{AckedBatch, Tally};
use countree_common::shell::failure::Failure;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const ACCEPTED: u16 = 202;
/// The server asks to come again later; nothing was counted.
const SHED: [u16; 2] = [429, 503];
const RETRY: Duration = Duration::from_millis(100);
const TRIES: u32 = 100;

/// Connections, each with a sender.
pub(crate) struct Posters {
    members: Vec<Poster>,
    lines: Arc<Vec<String>>,
}

struct Poster {
    number: u16,
    batch: usize,
    host: String,
    token: Option<String>,
    connection: SendRequest<Full<Bytes>>,
    latency: Arc<AckLatency>,
}

impl Posters {
    /// Connects as many as the plan has producers.
    ///
    /// # Errors
    /// When the cluster's address does not answer.
    pub(crate) async fn connect(
        plan: &Plan,
        batch: usize,
        endpoints: &Endpoints,
        latency: &Arc<AckLatency>,
    ) -> Result<Self, Failure> {
        let host = endpoints.url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let mut members = Vec::new();
        for number in 0..plan.producers {
            let stream = TcpStream::connect(&host).await?;
            stream.set_nodelay(true)?;
            let (connection, driver) = handshake(TokioIo::new(stream)).await.map_err(failure)?;
            tokio::spawn(driver);
            let (host, token, latency) = (host.clone(), endpoints.token.clone(), latency.clone());
            members.push(Poster { number, batch, host, token, connection, latency });
        }
        // Encoding the events is not part of the measurement.
        let line =
            |counter: countree_common::key::Counter| serde_json::to_string(&counter).map(|json| json + "\n");
        let lines = plan.counters()?.into_iter().map(line).collect::<Result<_, _>>()?;
        Ok(Self { members, lines: Arc::new(lines) })
    }

    /// Sends the whole plan. Returns the outcomes of its events.
    ///
    /// # Errors
    /// When a connection breaks.
    pub(crate) async fn send_all(
        &mut self,
        plan: &Arc<Plan>,
        zipf: &Arc<Zipf>,
        start: Instant,
    ) -> Result<Tally, Failure> {
        let mut tasks = JoinSet::new();
        for mut member in self.members.drain(..) {
            let (plan, zipf, lines) = (plan.clone(), zipf.clone(), self.lines.clone());
            tasks.spawn(async move {
                let tally = member.send(&plan, &zipf, &lines, start).await?;
                Ok::<_, Failure>((member, tally))
            });
        }
        let mut sum = Tally::default();
        while let Some(done) = tasks.join_next().await {
            let (member, tally) = done??;
            self.members.push(member);
            sum.sent += tally.sent;
            sum.acked += tally.acked;
            sum.rejected += tally.rejected;
            sum.errors.truncate(1);
            sum.errors.extend(tally.errors);
        }
        self.members.sort_by_key(|member| member.number);
        Ok(sum)
    }
}

impl Poster {
    async fn send(
        &mut self,
        plan: &Plan,
        zipf: &Zipf,
        lines: &[String],
        start: Instant,
    ) -> Result<Tally, Failure> {
        let mut tally = Tally::default();
        let mut draws = plan.draws(zipf, self.number).filter_map(|counter| lines.get(counter as usize));
        loop {
            // A request goes when its last event is due: before, it would be ahead of its time.
            let due = plan.due(self.number, tally.sent + self.batch as u64 - 1).map(|after| start + after);
            if let Some(due) = due {
                tokio::time::sleep_until(due.into()).await;
            }
            let (mut body, mut events) = (String::with_capacity(self.batch * 80), 0);
            for line in draws.by_ref().take(self.batch) {
                let _ = body.write_str(line);
                events += 1;
            }
            if events == 0 {
                return Ok(tally);
            }
            tally.sent += events;
            let first_queued = due.unwrap_or_else(now);
            match self.post(body.into()).await? {
                Ok(()) => {
                    tally.acked += events;
                    self.latency.record(AckedBatch { events, first_queued, acked: now() });
                }
                Err(why) => {
                    tally.rejected += events;
                    tally.errors = vec![why];
                }
            }
        }
    }

    /// Posts until it is accepted or refused for good.
    async fn post(&mut self, body: Bytes) -> Result<Result<(), String>, Failure> {
        for _ in 0..TRIES {
            let mut request = hyper::Request::post("/v1/events").header("host", &self.host);
            if let Some(token) = &self.token {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            let request = request.body(Full::new(body.clone())).map_err(failure)?;
            self.connection.ready().await.map_err(failure)?;
            let answer = self.connection.send_request(request).await.map_err(failure)?;
            let status = answer.status().as_u16();
            let said = answer.into_body().collect().await.map_err(failure)?.to_bytes();
            if status == ACCEPTED {
                return Ok(Ok(()));
            }
            if !SHED.contains(&status) {
                return Ok(Err(format!(
                    "POST /v1/events answers {status} {}",
                    String::from_utf8_lossy(&said)
                )));
            }
            tokio::time::sleep(RETRY).await;
        }
        Ok(Err(format!("the leaf sheds every one of {TRIES} tries")))
    }
}

fn failure(error: impl std::fmt::Display) -> Failure {
    Failure::failed(format!("the HTTP connection broke: {error}"))
}
