//! Waits until every acked event is in the store.

use crate::cluster::endpoints::Endpoints;
use countree_common::shell::failure::Failure;
use std::time::Duration;

/// Time that merging may make no progress.
const STALLED: Duration = Duration::from_secs(30);
/// The interval of checks, long enough to cost the server next to nothing.
const POLL: Duration = Duration::from_millis(25);

/// Returns once the ledger says that nothing is in flight, that it balances, and that nothing was lost.
///
/// # Errors
/// When it says otherwise for good.
pub(crate) async fn settled(endpoints: &Endpoints) -> Result<(), Failure> {
    let (mut merged, mut idle) = (0, 0);
    loop {
        let audit = endpoints.audit().await?;
        let total = audit.total;
        if total.in_flight == 0 && audit.balanced {
            return match total.declared_lost {
                0 => Ok(()),
                lost => Err(Failure::failed(format!("the cluster's ledger declares {lost} events lost"))),
            };
        }
        idle = if total.merged > merged { 0 } else { idle + 1 };
        merged = total.merged;
        if POLL * idle >= STALLED {
            let balance = if audit.balanced { "in balance" } else { "out of balance" };
            return Err(Failure::failed(format!(
                "{} events are still in flight and none was merged for {} s; the ledger is {balance}",
                total.in_flight,
                STALLED.as_secs()
            )));
        }
        tokio::time::sleep(POLL).await;
    }
}
