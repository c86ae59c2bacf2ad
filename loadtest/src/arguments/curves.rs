//! Arguments of `loadtest curves`.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// The quantity that grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Growing {
    /// 1,000 to 10,000,000 counters; CPU, and memory of each
    Counters,
    /// 1 to 1,000,000 topics of 1,000,000 counters
    Topics,
    /// 1 to 1,000 producers
    Producers,
    /// 100 to 10,000 viewers; CPU, age of what is shown, and memory of each
    Viewers,
    /// 1 to 4 leaves
    Leaves,
    /// 1 to 25,000 events in a message
    Batch,
    /// A leaf's log: how long it takes to start on it
    Log,
}

/// `loadtest curves`
#[derive(Debug, Args)]
pub(crate) struct CurvesArguments {
    /// Measure only these curves.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WHAT")]
    pub(crate) only: Vec<Growing>,
    /// A tenth of the work or less, and no curve to its end: to see that all of it runs.
    #[arg(long)]
    pub(crate) quick: bool,
    /// The countree binary [default: the one next to loadtest].
    #[arg(long, value_name = "PATH")]
    pub(crate) countree: Option<PathBuf>,
    /// Write a page with the plots, which opens without a network.
    #[arg(long, value_name = "FILE.html")]
    pub(crate) report: Option<PathBuf>,
}

impl CurvesArguments {
    /// The curves to measure.
    pub(crate) fn wanted(&self) -> Vec<Growing> {
        match self.only.as_slice() {
            [] => Growing::value_variants().to_vec(),
            only => only.to_vec(),
        }
    }
}
