//! Compares ways to count: the rows of the table, and the ratio.

use super::contender::{Row, Turn};
use crate::arguments::VersusArguments;
use crate::load::plan::Plan;
use crate::report::Rows;
use crate::report::escape::escape;
use crate::report::number::count;
use crate::report::page::document;
use crate::report::spread::Spread;
use serde::Serialize;
use std::fmt::Write;

/// The comparison and its result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Comparison {
    pub(super) rival: &'static str,
    /// Events of each rival in a round.
    pub(super) events: u64,
    /// Countree's events in a round.
    pub(super) own_events: u64,
    pub(super) rounds: u32,
    pub(super) keys: u32,
    pub(super) zipf: f64,
    /// Events per server core-second, ours over the rival's best: leaf, root and store of ours, every process of
    /// the server of theirs. The median of the rounds' ratios.
    pub(super) ratio: Option<f64>,
    pub(super) ratio_spread: Option<Spread>,
    /// The ratio with our leaf alone, which is all that an event needs to be durable and acked.
    pub(super) ratio_leaf: Option<f64>,
    pub(super) ratio_leaf_spread: Option<Spread>,
    /// `ratio` and `ratio_leaf` against each row of the rival.
    pub(super) ratios: Vec<Ratio>,
    pub(super) rows: Vec<Row>,
    /// Whether every total of every contender that can tell is right.
    pub(super) exact: bool,
    /// The first thing that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) complaint: Option<String>,
}

impl Comparison {
    /// Sums up the rounds; `headline` is the ratio over the contender's best.
    pub(super) fn new(
        rival: &'static str,
        arguments: &VersusArguments,
        plan: &Plan,
        headline: Option<Ratio>,
        ratios: Vec<Ratio>,
        rows: Vec<Row>,
        complaint: Option<String>,
    ) -> Self {
        let (whole, leaf) = headline.map_or((None, None), |ratio| (ratio.whole, ratio.leaf));
        Self {
            rival,
            events: arguments.events,
            own_events: plan.events,
            rounds: arguments.rounds,
            keys: plan.keys,
            zipf: plan.exponent,
            ratio: whole.map(|spread| spread.median),
            ratio_spread: whole,
            ratio_leaf: leaf.map(|spread| spread.median),
            ratio_leaf_spread: leaf,
            ratios,
            rows,
            exact: complaint.is_none(),
            complaint,
        }
    }
}

/// Ours over one row of the rival.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Ratio {
    pub(super) over: String,
    pub(super) whole: Option<Spread>,
    pub(super) leaf: Option<Spread>,
    /// The ratio of events per second, rather than per core-second.
    pub(super) pace: Option<Spread>,
}

impl Ratio {
    /// Round by round: what disturbs the machine for a while disturbs both.
    pub(super) fn of(over: &str, ours: &[Turn], theirs: &[Turn]) -> Self {
        let pairs = || ours.iter().zip(theirs);
        let pace = |turn: &Turn| turn.events as f64 / turn.elapsed_s.max(f64::MIN_POSITIVE);
        Self {
            over: over.into(),
            whole: Spread::of(pairs().map(|(a, b)| a.per_core() / b.per_core())),
            leaf: Spread::of(pairs().filter_map(|(a, b)| Some(a.per_leaf_core()? / b.per_core()))),
            pace: Spread::of(pairs().map(|(a, b)| pace(a) / pace(b))),
        }
    }
}

impl Comparison {
    /// The first error; `None` when all is right.
    pub(super) fn verdict(&self) -> Option<String> {
        self.complaint.clone()
    }

    /// The figures in words and numbers.
    pub(super) fn rows(&self) -> Rows {
        let mut rows = vec![(
            "work",
            format!(
                "{} events in a round ({} for countree), {} counters, Zipf {}, {} rounds in turns, each event by itself",
                count(self.events as f64),
                count(self.own_events as f64),
                count(f64::from(self.keys)),
                self.zipf,
                self.rounds
            ),
        )];
        let ratio = |spread: &Option<Spread>| spread.map_or("unknown".into(), |s| format!("{s} times"));
        for Ratio { over, whole, leaf, pace } in &self.ratios {
            rows.push(("ratio", format!("{} per core-second, whole server, over {over}", ratio(whole))));
            rows.push(("", format!("{} per core-second, leaf alone, over {over}", ratio(leaf))));
            rows.push(("", format!("{} per second, over {over}", ratio(pace))));
        }
        let exact = if self.exact { "yes: every total of every contender is what was sent" } else { "NO" };
        rows.push(("exact", exact.into()));
        rows
    }

    /// The rows for people, below the figures.
    pub(super) fn table(&self) -> String {
        let mut text = String::from("\n");
        for row in &self.rows {
            let _ = match (&row.skipped, row.events_per_core_s, row.events_per_s) {
                (None, Some(per_core), Some(pace)) => writeln!(
                    text,
                    "{:<44} {per_core} events per core-second of {}; {} a second; durable: {}; totals {}",
                    row.contender,
                    row.counted,
                    count(pace.median),
                    row.durable,
                    exactness(row)
                ),
                (why, ..) => {
                    writeln!(text, "{:<44} skipped: {}", row.contender, why.as_deref().unwrap_or("no round"))
                }
            };
        }
        text
    }

    /// The report.
    pub(super) fn page(&self) -> String {
        let most =
            self.rows.iter().filter_map(|row| row.events_per_core_s).map(|s| s.high).fold(1.0, f64::max);
        let mut body = String::from(
            "<h2>Events per server core-second</h2><p>Each bar is the median of the rounds, the thin line the lowest \
             and the highest.</p><svg viewBox=\"0 0 760 ",
        );
        let _ = write!(
            body,
            "{}\" role=\"img\" aria-label=\"Events per server core-second\">",
            44 * self.rows.len()
        );
        for (number, row) in self.rows.iter().enumerate() {
            let y = 44 * number;
            let label = row.skipped.as_ref().map_or_else(
                || {
                    format!(
                        "{}: {}",
                        row.contender,
                        row.events_per_core_s.map_or(String::new(), |s| s.to_string())
                    )
                },
                |why| format!("{}: skipped, {why}", row.contender),
            );
            let _ = write!(body, "<text x=\"0\" y=\"{}\">{}</text>", y + 14, escape(&label));
            if let Some(spread) = row.events_per_core_s {
                let width = |value: f64| value / most * 740.0;
                let (median, low, high) = (width(spread.median), width(spread.low), width(spread.high));
                let class = if row.counted.contains("leaf") { "c0" } else { "c1" };
                let _ = write!(
                    body,
                    "<rect class=\"dot {class}\" x=\"0\" y=\"{}\" width=\"{median:.1}\" height=\"14\"/>\
                     <line class=\"fault\" x1=\"{low:.1}\" x2=\"{high:.1}\" y1=\"{}\" y2=\"{}\"/>",
                    y + 20,
                    y + 27,
                    y + 27
                );
            }
        }
        body.push_str("</svg>");
        document(&format!("versus {}", self.rival), &self.rows(), &body)
    }
}

fn exactness(row: &Row) -> &'static str {
    match row.exact {
        Some(true) => "exact",
        Some(false) => "NOT exact",
        None => "not checked",
    }
}
