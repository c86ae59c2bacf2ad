//! The events that a lost disk of a leaf takes along: those that were acked and not merged.

use crate::cluster::endpoints::metric;
use crate::exact::run::Run;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

const LAG: &str = "countree_leaf_lag_milliseconds";
/// Acks that a killed process had sent arrive within this, and an acked event is part of the leaf's lag within it.
const UNDER_WAY: Duration = Duration::from_millis(100);

/// Taken just before the disk is lost.
#[derive(Debug)]
pub(in crate::exact) struct DiskLoss {
    /// All that was accepted before is merged, by the leaf's own word.
    merged_until: Duration,
}

impl DiskLoss {
    /// Asks the leaf how old its oldest event is that is not merged. One that does not answer may lose everything.
    pub(in crate::exact) async fn of(run: &Run, url: &str) -> Self {
        let now = run.after();
        let lag = metric(url, LAG).await.map_or(now, Duration::from_millis);
        Self { merged_until: now.saturating_sub(lag + UNDER_WAY) }
    }

    /// The disk is lost: adds what may have gone with it.
    pub(in crate::exact) async fn note(self, run: &Run) {
        tokio::time::sleep(UNDER_WAY).await;
        run.counts.at_stake.fetch_add(run.acks.acked_since(self.merged_until), Relaxed);
    }
}
