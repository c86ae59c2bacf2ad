//! Audits the store round after round: reads all documents, and does what the audit's machine makes of them. One root
//! of the cluster does it.

mod results;
mod round;
mod round_failed;

use super::registry::RegistryHandle;
use crate::machine::audit::{Auditor, Findings};
use crate::machine::registry::registrar::Ask;
use crate::store::AnyStore;
use countree_common::cluster::{ClusterView, NodeName, Tier};
use countree_common::shell::clock::wall;
use countree_common::shell::membership::Membership;
use countree_common::shell::shutdown::Shutdown;
use countree_common::wire::rpc::{Reply, Request};
pub(super) use results::AuditResults;
use results::leaves_of;
use round_failed::RoundFailed;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Time between two rounds, unless a round takes longer.
const ROUND_GAP: Duration = Duration::from_secs(5);
/// The same after a round that found a difference or failed.
const RETRY_GAP: Duration = Duration::from_secs(1);

/// The task that audits.
pub(super) struct AuditTask {
    pub(super) me: NodeName,
    pub(super) membership: Membership,
    pub(super) registry: RegistryHandle,
    pub(super) store: Arc<AnyStore>,
    pub(super) results: AuditResults,
}

impl AuditTask {
    /// Audits for as long as this root is the one to do it.
    pub(super) async fn run(self, shutdown: Shutdown) {
        let mut auditor = Auditor::default();
        loop {
            let began = Instant::now();
            let is_quiet = if self.is_mine() {
                tokio::select! {
                    is_quiet = self.audit(&mut auditor) => is_quiet,
                    () = shutdown.begun() => return,
                }
            } else {
                // Two roots that both think so do no harm: the registry takes one change after the other.
                auditor = Auditor::default();
                self.results.clear();
                true
            };
            let gap = if !self.is_mine() || !is_quiet { RETRY_GAP } else { ROUND_GAP.max(began.elapsed()) };
            tokio::select! {
                () = tokio::time::sleep(gap) => {}
                () = self.results.wanted() => {}
                () = shutdown.begun() => return,
            }
        }
    }

    fn view(&self) -> Arc<ClusterView> {
        self.registry.view().borrow().clone()
    }

    /// Whether this root is the one that audits: the first of the view.
    fn is_mine(&self) -> bool {
        self.view().tier(Tier::Root).next().is_some_and(|first| first.name == self.me)
    }

    /// Runs one round; returns whether the next one may wait.
    async fn audit(&self, auditor: &mut Auditor) -> bool {
        let (is_full, leaves) = (self.results.begin(), leaves_of(&self.view()));
        match self.round(is_full).await {
            Ok((round, after)) => {
                let findings = auditor.handle_round(round, &after, wall());
                self.log_changes(&findings);
                self.results.end(is_full, leaves, Ok(findings.check.clone()));
                let is_quiet = findings.check.balanced();
                self.act_on(findings).await;
                is_quiet
            }
            Err(e) => {
                if !matches!(e, RoundFailed::GivenUp) {
                    tracing::debug!("the documents could not be compared with the ledgers: {e}");
                    self.results.end(is_full, leaves, Err(e.to_string()));
                }
                false
            }
        }
    }

    fn log_changes(&self, findings: &Findings) {
        let check = &findings.check;
        if !check.balanced() {
            let known = self.results.last();
            if known.is_none_or(|known| (&known.short, &known.over) != (&check.short, &check.over)) {
                tracing::error!(
                    short = ?check.short, over = ?check.over, topics = ?check.topics, unreadable = ?check.unreadable,
                    "the store does not hold what was merged: it was changed by other hands, or is an older copy"
                );
            }
        }
    }

    async fn act_on(&self, findings: Findings) {
        if findings.leaves_should_ask {
            self.have_leaves_ask().await;
        }
        if !findings.corrections.is_empty() {
            tracing::error!(corrections = ?findings.corrections, "the ledgers are put right by what the store holds");
            if let Reply::Failed(e) = self.registry.ask(Ask::Correct(findings.corrections)).await {
                tracing::warn!("what the store has lost could not be declared: {e}");
            }
        }
    }

    async fn have_leaves_ask(&self) {
        for leaf in self.view().tier(Tier::Leaf) {
            if let Err(e) = self.membership.peers().call(leaf, &Request::ProbeTopics).await {
                tracing::debug!("{} was not told to ask about its topics: {e}", leaf.name);
            }
        }
    }
}
