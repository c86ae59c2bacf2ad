//! Arguments of `loadtest ingest`.

use super::target::Target;
use super::value::{exponent, rate};
use crate::load::plan::{COUNTERS_MAX, Plan};
use crate::load::transport::Transport;
use clap::Args;
use countree_common::limits;
use countree_common::shell::failure::Failure;
use std::path::PathBuf;

/// `loadtest ingest`
#[derive(Debug, Args)]
pub(crate) struct IngestArguments {
    /// Number of events in all; each is counted by itself.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=1 << 40), value_name = "N")]
    events: u64,
    /// Number of producers that send them, each with connections of its own.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1_024), value_name = "P")]
    producers: u16,
    /// Events per second of all producers together, each due at its time whether or not earlier ones
    /// were acked. Without it, as fast as the cluster takes them.
    #[arg(long, value_parser = rate, value_name = "R")]
    rate: Option<f64>,
    #[command(flatten)]
    spread: Spread,
    #[command(flatten)]
    pub(crate) sending: Sending,
    /// Write a page with the figures and a plot, which opens without a network.
    #[arg(long, value_name = "FILE.html")]
    pub(crate) report: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// The counters that events go to, and their shares.
#[derive(Debug, Clone, Args)]
pub(crate) struct Spread {
    /// Number of counters.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=i64::from(COUNTERS_MAX)), value_name = "K")]
    pub(crate) keys: u32,
    /// The exponent of Zipf's law: the n-th most popular counter gets a share of 1/n^S. 0 is uniform.
    #[arg(long, default_value_t = 1.0, value_parser = exponent, value_name = "S")]
    pub(crate) zipf: f64,
    /// Number of topics that the counters are spread over [default: one for each counter, at most 100].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000), value_name = "T")]
    pub(crate) topics: Option<u32>,
    /// The seed of the random numbers: the same seed makes the same events.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

/// The transport and the batches of events.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct Sending {
    /// Events in one message [default: the client's; 1,000 over HTTP].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=limits::BATCH_EVENTS as i64), value_name = "N")]
    pub(crate) batch: Option<u32>,
    /// Messages that a producer may have under way to one leaf [default: the client's; 1 when --batch is 1].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1_024), value_name = "N", conflicts_with = "http")]
    pub(crate) in_flight: Option<u16>,
    /// Send over HTTP, as NDJSON, on one connection per producer.
    #[arg(long)]
    pub(crate) http: bool,
}

impl Sending {
    /// Converts it to a transport of the load.
    ///
    /// # Errors
    /// When a request over HTTP would be too large.
    pub(crate) fn transport(self) -> Result<Transport, Failure> {
        let batch = self.batch.map(|batch| batch as usize);
        if self.http {
            let batch = batch.unwrap_or(1_000);
            if batch > limits::HTTP_EVENTS {
                let most = limits::HTTP_EVENTS;
                return Err(Failure::usage(format!("--batch {batch} is more than a request takes: {most}")));
            }
            return Ok(Transport::Http { batch });
        }
        let one = (batch == Some(1)).then_some(1);
        Ok(Transport::Quic { batch, in_flight: self.in_flight.map(usize::from).or(one) })
    }
}

impl Spread {
    /// Plans the events. `run` keeps this run's topics apart from those of others.
    ///
    /// # Errors
    /// When there are more topics than counters.
    pub(crate) fn plan(
        &self,
        run: u32,
        events: u64,
        producers: u16,
        rate: Option<f64>,
    ) -> Result<Plan, Failure> {
        let topics = self.topics.unwrap_or(self.keys.min(100));
        if topics > self.keys {
            let keys = self.keys;
            return Err(Failure::usage(format!(
                "--topics {topics} is more than --keys {keys}: every topic needs a counter"
            )));
        }
        Ok(Plan {
            events,
            keys: self.keys,
            topics,
            exponent: self.zipf,
            producers,
            rate,
            seed: self.seed,
            prefix: format!("loadtest-{run:08x}"),
        })
    }
}

impl IngestArguments {
    /// Plans the events.
    ///
    /// # Errors
    /// As [`Spread::plan`].
    pub(crate) fn plan(&self, run: u32) -> Result<Plan, Failure> {
        self.spread.plan(run, self.events, self.producers, self.rate)
    }
}
