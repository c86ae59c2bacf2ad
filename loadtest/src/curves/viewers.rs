//! Measures the cost of showing totals, by viewers.

use super::growth::{Growth, Measure};
use super::sizes::sizes;
use crate::arguments::{CurvesArguments, Show, Target};
use crate::fanout;
use countree_common::shell::failure::Failure;

const MEASURES: [Measure; 4] = [
    ("broadcast node", "µs of CPU a delivery"),
    ("age at the median", "ms"),
    ("age at p99", "ms"),
    ("memory of the broadcast node", "KB a viewer"),
];

/// Measures a cluster of its own at each size.
///
/// # Errors
/// When one does not come up.
pub(super) async fn curve(arguments: &CurvesArguments) -> Result<Growth, Failure> {
    let mut growth = Growth::new("viewers", &MEASURES);
    let seconds = if arguments.quick { 1.0 } else { 5.0 };
    for viewers in sizes(&[100, 300, 1_000, 3_000, 10_000], arguments.quick, 2) {
        let show = Show { viewers, rate: 5.0, seconds, topics: 1, counters: 1 };
        let target = Target { apart: true, countree: arguments.countree.clone(), ..Target::default() };
        let figures = fanout::measure(&show, &target, false).await?;
        let costs = [
            figures.server_us_per_delivery,
            Some(figures.staleness_ms.p50),
            Some(figures.staleness_ms.p99),
            figures.bytes_per_viewer.map(|bytes| bytes / 1e3),
        ];
        growth.add(f64::from(viewers), &costs, figures.verdict());
    }
    Ok(growth)
}
