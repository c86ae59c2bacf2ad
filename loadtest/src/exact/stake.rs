//! What a leaf's disk takes along when it is lost: what the leaf had acked and not merged.

use super::run::Run;
use crate::cluster::site::metric;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

const LAG: &str = "countree_leaf_lag_milliseconds";
/// Acks that a killed process had sent arrive within this, and an acked event is part of the leaf's lag within it.
const UNDER_WAY: Duration = Duration::from_millis(100);

/// Taken just before the disk is lost.
#[derive(Debug)]
pub(super) struct Stake {
    /// All that was accepted before is merged, by the leaf's own word.
    merged_until: Duration,
}

impl Stake {
    /// Asks the leaf how old its oldest event is that is not merged. One that does not answer may lose everything.
    pub(super) async fn of(run: &Run, url: &str) -> Self {
        let now = run.after();
        let lag = metric(url, LAG).await.map_or(now, Duration::from_millis);
        Self { merged_until: now.saturating_sub(lag + UNDER_WAY) }
    }

    /// The disk is lost: adds what may have gone with it.
    pub(super) async fn note(self, run: &Run) {
        tokio::time::sleep(UNDER_WAY).await;
        run.at_stake.fetch_add(run.acks.acked_since(self.merged_until), Relaxed);
    }
}
