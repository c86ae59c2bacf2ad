//! Arguments of `loadtest fanout`.

use super::target::Target;
use clap::Args;
use countree_common::shell::failure::Failure;
use std::path::PathBuf;
use std::time::Duration;

/// `loadtest fanout`
#[derive(Debug, Args)]
pub(crate) struct FanoutArguments {
    #[command(flatten)]
    pub(crate) show: Show,
    /// Write a page with the figures and a plot, which opens without a network.
    #[arg(long, value_name = "FILE.html")]
    pub(crate) report: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// The viewers, their topics and counters, and the rate of changes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Show {
    /// Number of viewers, each with a connection of its own.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=50_000), value_name = "N")]
    pub(crate) viewers: u32,
    /// Changes per second of every counter. Unless --window and --tick say otherwise, leaves sum and
    /// viewers are updated as often.
    #[arg(long, default_value_t = 20.0, value_parser = hertz, value_name = "HZ")]
    pub(crate) rate: f64,
    /// The length of the run.
    #[arg(long, default_value_t = 10.0, value_parser = seconds, value_name = "T")]
    pub(crate) seconds: f64,
    /// Number of topics that the viewers are spread over; each watches one.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000), value_name = "N")]
    pub(crate) topics: u32,
    /// Number of counters of each topic; all of them change every time.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000), value_name = "N")]
    pub(crate) counters: u32,
}

impl Show {
    /// The time between two changes.
    pub(crate) fn period(&self) -> Duration {
        Duration::from_secs_f64(1.0 / self.rate)
    }

    /// The number of changes of every counter in the whole run.
    pub(crate) fn changes(&self) -> u64 {
        (self.rate * self.seconds).round().max(1.0) as u64
    }

    /// Windows and ticks as often as the counters change, where nothing else was asked for.
    ///
    /// # Errors
    /// When there are more topics than viewers.
    pub(crate) fn pace(&self, target: &Target) -> Result<Target, Failure> {
        if self.topics > self.viewers {
            let Self { topics, viewers, .. } = self;
            return Err(Failure::usage(format!("--topics {topics} is more than --viewers {viewers}")));
        }
        let period = Duration::from_millis((self.period().as_millis() as u64).clamp(10, 10_000));
        Ok(Target {
            window: target.window.or(Some(period)),
            tick: target.tick.or(Some(period)),
            ..target.clone()
        })
    }
}

pub(super) fn hertz(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|r| (0.1..=100.0).contains(r));
    number.ok_or_else(|| "it takes changes per second, from 0.1 to 100".into())
}

pub(super) fn seconds(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|s| (0.1..=3_600.0).contains(s));
    number.ok_or_else(|| "it takes seconds, from 0.1 to 3600".into())
}
