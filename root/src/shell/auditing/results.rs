//! The results of audit rounds, for requests and for the metrics page.

use crate::shell::registry::RegistryHandle;
use countree_common::audit::{StoreCheck, StreamGap};
use countree_common::cluster::{ClusterView, NodeName, Tier};
use countree_common::shell::metrics::Page;
use countree_common::wire::rpc::Reply;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// A request that comes before a round with the present leaves has ended waits this long for one.
const FIRST_ROUND: Duration = Duration::from_secs(3);
const POLL_GAP: Duration = Duration::from_millis(50);

/// The audit's state on this root.
#[derive(Debug, Default)]
struct State {
    /// The time at which this root began to audit; `None` while another one does.
    since: Option<Instant>,
    check: Option<(StoreCheck, Instant)>,
    /// The leaves when the round of that check began.
    leaves: Vec<(NodeName, u64)>,
    is_full_wanted: bool,
    full_begun: u64,
    full_ended: u64,
    /// The reason why the last round failed; `None` if it succeeded.
    failure: Option<String>,
}

/// The last results, shared by the tasks of a root.
#[derive(Debug, Clone, Default)]
pub(in crate::shell) struct AuditResults {
    state: Arc<Mutex<State>>,
    wake: Arc<Notify>,
}

impl AuditResults {
    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Answers [`Request::Check`].
    pub(in crate::shell) async fn answer(&self, full: bool, registry: &RegistryHandle) -> Reply {
        let began = Instant::now();
        // At once, or the round could begin in between and be taken for an earlier one.
        let full_begun = self.with(|state| {
            state.is_full_wanted |= full;
            state.full_begun
        });
        if full || self.is_early(registry) {
            self.wake.notify_one();
        }
        while !full && self.is_early(registry) && began.elapsed() < FIRST_ROUND {
            tokio::time::sleep(POLL_GAP).await;
        }
        self.with(|state| {
            if state.since.is_none() {
                return Reply::Failed("this root does not audit: ask the first in the view".into());
            }
            let check = state.check.clone().map(|(check, ended)| {
                let age_ms = u64::try_from(ended.elapsed().as_millis()).unwrap_or(u64::MAX);
                StoreCheck { age_ms, ..check }
            });
            let (full_ended, trouble) = (state.full_ended, state.failure.clone());
            Reply::Checked { check, full_begun, full_ended, trouble }
        })
    }

    /// Whether no round has ended yet that began with the present leaves.
    fn is_early(&self, registry: &RegistryHandle) -> bool {
        let leaves = leaves_of(&registry.view().borrow());
        let is_early = |s: &State| s.check.is_none() || s.leaves != leaves;
        self.with(|state| state.since.is_some() && state.failure.is_none() && is_early(state))
    }

    /// Whether a full round was asked for and has not begun.
    pub(super) fn is_full_wanted(&self) -> bool {
        self.with(|state| state.is_full_wanted)
    }

    /// Forgets everything: another root audits.
    pub(super) fn clear(&self) {
        self.with(|state| *state = State::default());
    }

    /// Returns when a round is wanted at once.
    pub(super) async fn wanted(&self) {
        self.wake.notified().await;
    }

    /// Begins a round; returns whether it is to be a full one.
    pub(super) fn begin(&self) -> bool {
        self.with(|state| {
            state.since.get_or_insert_with(Instant::now);
            let is_full = std::mem::take(&mut state.is_full_wanted);
            state.full_begun += u64::from(is_full);
            is_full
        })
    }

    /// Notes the result of a round.
    pub(super) fn end(
        &self,
        is_full: bool,
        leaves: Vec<(NodeName, u64)>,
        result: Result<StoreCheck, String>,
    ) {
        self.with(|state| {
            state.full_ended += u64::from(is_full);
            match result {
                Ok(check) => {
                    state.failure = None;
                    state.check = Some((check, Instant::now()));
                    state.leaves = leaves;
                }
                Err(e) => state.failure = Some(e),
            }
        });
    }

    /// The result of the last round that succeeded.
    pub(super) fn last(&self) -> Option<StoreCheck> {
        self.with(|state| state.check.as_ref().map(|(check, _)| check.clone()))
    }

    /// Writes the result of the last round to a metrics page, on the root that audits.
    pub(in crate::shell) fn write(&self, node: &str, page: &mut Page) {
        let Some((check, age)) =
            self.with(|s| s.check.clone().map(|(check, ended)| (check, ended.elapsed())))
        else {
            return;
        };
        let own = [("node", node)];
        let sum = |gaps: &[StreamGap]| gaps.iter().map(|gap| gap.events).sum::<u64>();
        let age_name = "countree_root_audit_age_seconds";
        page.gauge(
            age_name,
            "Time since all documents were last compared with the ledgers",
            &own,
            age.as_secs_f64(),
        );
        let gaps = [("short", sum(&check.short)), ("over", sum(&check.over))];
        for (side, events) in gaps {
            let labels = [("node", node), ("side", side)];
            let help = "Events by which documents differ from the ledgers: anything but 0 is an alarm";
            page.gauge("countree_root_audit_gap_events", help, &labels, events);
        }
        let help = "Topics whose document can't be read";
        page.gauge("countree_root_audit_unreadable_topics", help, &own, check.unreadable.len());
    }
}

/// Each live leaf with its incarnation.
pub(super) fn leaves_of(view: &ClusterView) -> Vec<(NodeName, u64)> {
    view.tier(Tier::Leaf).map(|leaf| (leaf.name.clone(), leaf.incarnation)).collect()
}
