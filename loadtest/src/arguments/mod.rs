//! The command line.

mod curves;
mod exact;
mod fanout;
mod ingest;
mod latency;
mod resize;
mod target;
mod value;
mod versus;

pub(crate) use curves::{CurvesArguments, Growing};
pub(crate) use exact::{Allowed, ExactArguments};
pub(crate) use fanout::{FanoutArguments, Show};
pub(crate) use ingest::IngestArguments;
pub(crate) use latency::LatencyArguments;
pub(crate) use resize::ResizeArguments;
pub(crate) use target::{Store, Target};
pub(crate) use versus::{Rival, VersusArguments};

use clap::{Parser, Subcommand};

/// Measures a Countree cluster under load, and checks that every total is exact.
#[derive(Debug, Parser)]
#[command(name = "loadtest", version)]
pub(crate) struct Arguments {
    /// Make the last line of standard output the result as a JSON object, and print nothing else there.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Send events from many producers, and measure throughput, server CPU time and ack latency.
    Ingest(IngestArguments),
    /// Show changing counters to many viewers, and measure deliveries, server CPU time, memory and staleness.
    Fanout(FanoutArguments),
    /// Measure how long events take to their acks and to viewers' screens, at shares of the capacity.
    Latency(LatencyArguments),
    /// Plot how cost grows with counters, topics, producers, viewers, leaves, batches and the log.
    Curves(CurvesArguments),
    /// Do the same work on Countree and on what people use instead, and print the ratio.
    Versus(VersusArguments),
    /// Kill and pause real processes and their Redis under load, and check event by event that what was acked
    /// is counted once.
    Exact(ExactArguments),
    /// Resize every tier again and again under load, and check that every event counts once.
    Resize(ResizeArguments),
}
