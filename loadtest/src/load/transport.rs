//! The transports of events: QUIC through the client library, and HTTP.

use super::latency::AckLatency;
use super::plan::Plan;
use super::post::Posters;
use super::produce::Producers;
use super::zipf::Zipf;
use crate::cluster::endpoints::Endpoints;
use countree_client::Tally;
use countree_common::shell::failure::Failure;
use std::sync::Arc;
use std::time::Instant;

/// The transport and the batches of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// QUIC, through the client library. Unset options take the library's defaults.
    Quic {
        /// Events in a batch at most.
        batch: Option<usize>,
        /// Batches that wait for an ack at most.
        in_flight: Option<usize>,
    },
    /// As NDJSON over HTTP/1.1, one request after another on each connection.
    Http {
        /// Events in a request.
        batch: usize,
    },
}

/// Senders that are connected.
pub(crate) enum Senders {
    Quic(Producers),
    Http(Posters),
}

impl Senders {
    /// Connects as many as the plan has producers.
    ///
    /// # Errors
    /// When the cluster does not take events.
    pub(crate) async fn connect(
        plan: &Plan,
        transport: Transport,
        endpoints: &Endpoints,
        latency: &Arc<AckLatency>,
    ) -> Result<Self, Failure> {
        Ok(match transport {
            Transport::Quic { batch, in_flight } => {
                Self::Quic(Producers::connect(plan, batch, in_flight, endpoints, latency).await?)
            }
            Transport::Http { batch } => Self::Http(Posters::connect(plan, batch, endpoints, latency).await?),
        })
    }

    /// Sends the whole plan and waits for every answer. Returns the results of its events.
    ///
    /// # Errors
    /// When the cluster does not let the senders in, or a connection breaks.
    pub(crate) async fn send_all(
        &mut self,
        plan: &Arc<Plan>,
        zipf: &Arc<Zipf>,
        start: Instant,
    ) -> Result<Tally, Failure> {
        match self {
            Self::Quic(producers) => producers.send_all(plan, zipf, start).await,
            Self::Http(posters) => posters.send_all(plan, zipf, start).await,
        }
    }
}
