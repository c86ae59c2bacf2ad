//! Runs `versus nchan`, `versus mosquitto` and `versus nats --viewers N`: one changing number shown to many viewers.

use super::broker::Broker;
use super::broker_clients::{self, Shown};
use crate::arguments::{Show, Target, VersusArguments};
use crate::fanout;
use crate::report::number::{count, thousands};
use crate::report::page;
use crate::report::spread::Spread;
use crate::report::{self, Rows};
use countree_common::shell::failure::Failure;
use serde::Serialize;

/// The comparison and its result.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Comparison {
    rival: &'static str,
    viewers: u32,
    rate: f64,
    seconds: f64,
    rounds: u32,
    /// Deliveries per server core-second, ours over theirs: the median of the rounds' ratios.
    ratio: Option<f64>,
    ratio_spread: Option<Spread>,
    ours: ContenderFanout,
    theirs: Option<ContenderFanout>,
    /// Whether every viewer of both contenders saw the last total.
    exact: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    complaint: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct ContenderFanout {
    #[serde(rename = "side")]
    contender: String,
    deliveries_per_core_s: Option<Spread>,
    p50_ms: Option<Spread>,
    p99_ms: Option<Spread>,
}

impl ContenderFanout {
    fn of(contender: String, turns: &[Shown]) -> Self {
        Self {
            contender,
            deliveries_per_core_s: Spread::of(turns.iter().map(per_core)),
            p50_ms: Spread::of(turns.iter().map(|turn| turn.p50_ms)),
            p99_ms: Spread::of(turns.iter().map(|turn| turn.p99_ms)),
        }
    }

    fn row(&self) -> String {
        let text = |spread: &Option<Spread>| spread.map_or("unknown".into(), |s| s.to_string());
        let (rate, p50, p99) = (text(&self.deliveries_per_core_s), text(&self.p50_ms), text(&self.p99_ms));
        format!("{}: {rate} deliveries per core-second; age p50 {p50}, p99 {p99} ms", self.contender)
    }
}

fn per_core(turn: &Shown) -> f64 {
    turn.deliveries as f64 / turn.core_s.max(0.01)
}

/// Measures both in turns, prints, and fails when a viewer was not shown the last total.
///
/// # Errors
/// When a server fails.
pub(super) async fn run(arguments: &VersusArguments, json: bool) -> Result<(), Failure> {
    let rival = arguments.rival;
    let show = Show {
        viewers: arguments.viewers.unwrap_or(1_000),
        rate: arguments.rate,
        seconds: arguments.seconds,
        topics: 1,
        counters: 1,
    };
    let folder = tempfile::Builder::new().prefix("countree-versus-").tempdir()?;
    let broker = Broker::start(rival, folder.path()).await?;
    let target = Target { apart: true, countree: arguments.countree.clone(), ..Target::default() };
    let target = show.pace(&target)?;
    let (mut ours, mut theirs, mut complaint) = (Vec::new(), Vec::new(), None);
    for round in 1..=arguments.rounds {
        if !json {
            eprintln!("round {round} of {}", arguments.rounds);
        }
        let figures = fanout::measure(&show, &target, false).await?;
        complaint = complaint.or(figures.verdict().map(|why| format!("countree: {why}")));
        ours.push(Shown {
            deliveries: figures.deliveries,
            core_s: figures.server_core_s.unwrap_or_default(),
            p50_ms: figures.staleness_ms.p50,
            p99_ms: figures.staleness_ms.p99,
            behind: figures.viewers_behind,
        });
        if let Some(broker) = &broker {
            let shown = broker_clients::perform(broker, &show).await?;
            if shown.behind > 0 {
                let behind = shown.behind;
                complaint
                    .get_or_insert(format!("{}: {behind} viewers never saw the last total", rival.name()));
            }
            theirs.push(shown);
        }
    }
    let ratio_spread = Spread::of(ours.iter().zip(&theirs).map(|(a, b)| per_core(a) / per_core(b)));
    let comparison = Comparison {
        rival: rival.name(),
        viewers: show.viewers,
        rate: show.rate,
        seconds: show.seconds,
        rounds: arguments.rounds,
        ratio: ratio_spread.map(|spread| spread.median),
        ratio_spread,
        ours: ContenderFanout::of("Countree, QUIC, encrypted".into(), &ours),
        theirs: broker.map(|_| ContenderFanout::of(format!("{}, TCP, not encrypted", rival.name()), &theirs)),
        exact: complaint.is_none(),
        complaint,
    };
    let rows = comparison.rows();
    report::write(arguments.report.as_deref(), || {
        page::document(&format!("versus {}", rival.name()), &rows, "")
    })?;
    report::print(json, &comparison, &rows, "")?;
    comparison.complaint.map_or(Ok(()), |complaint| Err(Failure::failed(complaint)))
}

impl Comparison {
    fn rows(&self) -> Rows {
        let work = format!(
            "one counter that changes {} times a second for {} s, {} viewers, {} rounds in turns",
            count(self.rate),
            self.seconds,
            thousands(u64::from(self.viewers)),
            self.rounds
        );
        let theirs = self
            .theirs
            .as_ref()
            .map_or_else(|| format!("{}: skipped, it is not installed", self.rival), ContenderFanout::row);
        let ratio =
            self.ratio_spread.map_or("unknown".into(), |spread| format!("{spread} times per core-second"));
        let exact = if self.exact { "yes: every viewer was shown the last total" } else { "NO" };
        vec![
            ("work", work),
            ("ours", self.ours.row()),
            ("theirs", theirs),
            ("ratio", ratio),
            ("exact", exact.into()),
        ]
    }
}
