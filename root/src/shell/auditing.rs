//! Reading all documents, round after round, for the audit. One root does it; the machine says what follows.

use super::registry::RegistryHandle;
use crate::machine::audit::{Account, Auditor, Findings, Round};
use crate::machine::documents::Position;
use crate::machine::registry::registrar::Ask;
use crate::store::{AnyStore, Cursor, Store, StoreError};
use countree_common::audit::{StoreCheck, StreamGap};
use countree_common::cluster::{ClusterView, NodeName, Tier};
use countree_common::key::Topic;
use countree_common::shell::clock::wall;
use countree_common::shell::membership::Membership;
use countree_common::shell::metrics::Page;
use countree_common::shell::shutdown::Shutdown;
use countree_common::stream::StreamId;
use countree_common::wire::rpc::{Reply, Request};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Between two rounds, unless the documents are many.
const ROUND_GAP: Duration = Duration::from_secs(5);
/// After a round that found a difference.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Topics in a page.
const PAGE: usize = 128;
/// After a page so many times as long as it took is left to others: the audit takes a hundredth of a core at most.
const REST: u32 = 99;
/// The longest rest: a page takes longer only when the store is busy, or its answers travel.
const REST_MOST: Duration = Duration::from_secs(1);
/// Who asks before there was a round with the leaves of now waits this long for it.
const FIRST_ROUND: Duration = Duration::from_secs(3);
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// Why a round did not come to its end.
#[derive(Debug, thiserror::Error)]
enum RoundFailed {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the registry does not answer: {0}")]
    Registry(String),
    /// Another root audits now, or a full round is wanted, or the root stops.
    #[error("the round was given up for another")]
    GivenUp,
}

#[derive(Debug, Default)]
struct State {
    /// When this root began to audit, as the one that does.
    since: Option<Instant>,
    check: Option<(StoreCheck, Instant)>,
    /// The leaves when the round of that check began.
    leaves: Vec<(NodeName, u64)>,
    is_full_wanted: bool,
    full_begun: u64,
    full_ended: u64,
    /// Why the last round failed, if it did.
    trouble: Option<String>,
}

/// What the rounds have found, for whoever asks.
#[derive(Debug, Clone, Default)]
pub(super) struct Audits {
    state: Arc<Mutex<State>>,
    wake: Arc<Notify>,
}

impl Audits {
    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Answers [`Request::Check`].
    pub(super) async fn answer(&self, full: bool, registry: &RegistryHandle) -> Reply {
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
            tokio::time::sleep(ASK_AGAIN).await;
        }
        self.with(|state| {
            if state.since.is_none() {
                return Reply::Failed("this root does not audit: ask the first in the view".into());
            }
            let check = state.check.clone().map(|(check, ended)| {
                let age_ms = u64::try_from(ended.elapsed().as_millis()).unwrap_or(u64::MAX);
                StoreCheck { age_ms, ..check }
            });
            let (full_ended, trouble) = (state.full_ended, state.trouble.clone());
            Reply::Checked { check, full_begun, full_ended, trouble }
        })
    }

    /// Whether no round has ended that began with the leaves of now.
    fn is_early(&self, registry: &RegistryHandle) -> bool {
        let leaves = leaves_of(&registry.view().borrow());
        let is_early = |s: &State| s.check.is_none() || s.leaves != leaves;
        self.with(|state| state.since.is_some() && state.trouble.is_none() && is_early(state))
    }

    fn begin(&self) -> bool {
        self.with(|state| {
            state.since.get_or_insert_with(Instant::now);
            let is_full = std::mem::take(&mut state.is_full_wanted);
            state.full_begun += u64::from(is_full);
            is_full
        })
    }

    fn end(&self, is_full: bool, leaves: Vec<(NodeName, u64)>, result: Result<StoreCheck, String>) {
        self.with(|state| {
            state.full_ended += u64::from(is_full);
            match result {
                Ok(check) => {
                    state.trouble = None;
                    state.check = Some((check, Instant::now()));
                    state.leaves = leaves;
                }
                Err(e) => state.trouble = Some(e),
            }
        });
    }

    fn last(&self) -> Option<StoreCheck> {
        self.with(|state| state.check.as_ref().map(|(check, _)| check.clone()))
    }

    /// Writes to a metrics page what the last round found, on the root that audits.
    pub(super) fn write(&self, node: &str, page: &mut Page) {
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

/// What a round needs.
pub(super) struct AuditTask {
    pub(super) me: NodeName,
    pub(super) membership: Membership,
    pub(super) registry: RegistryHandle,
    pub(super) store: Arc<AnyStore>,
    pub(super) audits: Audits,
}

impl AuditTask {
    /// Audits as long as this root is the one to do it.
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
                self.audits.with(|state| *state = State::default());
                true
            };
            let gap = if !self.is_mine() || !is_quiet { LOOK_AGAIN } else { ROUND_GAP.max(began.elapsed()) };
            tokio::select! {
                () = tokio::time::sleep(gap) => {}
                () = self.audits.wake.notified() => {}
                () = shutdown.begun() => return,
            }
        }
    }

    fn view(&self) -> Arc<ClusterView> {
        self.registry.view().borrow().clone()
    }

    fn is_mine(&self) -> bool {
        self.view().tier(Tier::Root).next().is_some_and(|first| first.name == self.me)
    }

    /// One round; returns whether nothing has to be looked at again soon.
    async fn audit(&self, auditor: &mut Auditor) -> bool {
        let (is_full, leaves) = (self.audits.begin(), leaves_of(&self.view()));
        match self.round(is_full).await {
            Ok((round, after)) => {
                let findings = auditor.handle_round(round, &after, wall());
                self.tell(&findings);
                self.audits.end(is_full, leaves, Ok(findings.check.clone()));
                let is_quiet = findings.check.balanced();
                self.follow(findings).await;
                is_quiet
            }
            Err(e) => {
                if !matches!(e, RoundFailed::GivenUp) {
                    tracing::debug!("the documents could not be compared with the ledgers: {e}");
                    self.audits.end(is_full, leaves, Err(e.to_string()));
                }
                false
            }
        }
    }

    fn tell(&self, findings: &Findings) {
        let check = &findings.check;
        if !check.balanced() {
            let known = self.audits.last();
            if known.is_none_or(|known| (&known.short, &known.over) != (&check.short, &check.over)) {
                tracing::error!(
                    short = ?check.short, over = ?check.over, topics = ?check.topics, unreadable = ?check.unreadable,
                    "the store does not hold what was merged: it was changed by other hands, or is an older copy"
                );
            }
        }
    }

    async fn follow(&self, findings: Findings) {
        if findings.leaves_should_ask {
            self.let_leaves_ask().await;
        }
        if !findings.corrections.is_empty() {
            tracing::error!(corrections = ?findings.corrections, "the ledgers are put right by what the store holds");
            if let Reply::Failed(e) = self.registry.ask(Ask::Correct(findings.corrections)).await {
                tracing::warn!("what the store has lost could not be declared: {e}");
            }
        }
    }

    async fn let_leaves_ask(&self) {
        for leaf in self.view().tier(Tier::Leaf) {
            if let Err(e) = self.membership.peers().call(leaf, &Request::ProbeTopics).await {
                tracing::debug!("{} was not told to ask about its topics: {e}", leaf.name);
            }
        }
    }

    async fn account(&self) -> Result<Account, RoundFailed> {
        let books = match self.registry.ask(Ask::Books).await {
            Reply::AuditRecords(books) => *books,
            Reply::Failed(e) => return Err(RoundFailed::Registry(e)),
            other => return Err(RoundFailed::Registry(format!("it says {other:?}"))),
        };
        let mut leaves = Vec::new();
        for leaf in books.view.tier(Tier::Leaf) {
            let answer = match self.membership.peers().call(leaf, &Request::Ledgers).await {
                Ok(Reply::Ledgers(ledgers)) => Some(ledgers),
                Ok(_) | Err(_) => None,
            };
            leaves.push((leaf.name.clone(), answer));
        }
        Ok(Account::new(books, leaves))
    }

    async fn round(&self, is_full: bool) -> Result<(Round, Account), RoundFailed> {
        if is_full {
            self.let_leaves_ask().await;
        }
        let mut round = Round::begin(self.account().await?, is_full);
        let streams: Arc<[StreamId]> = round.streams().cloned().collect();
        let mut cursor = None::<Cursor>;
        loop {
            let began = Instant::now();
            let page = self.store.scan(cursor, PAGE).await?;
            self.read(&page.found, &streams, &mut round).await?;
            cursor = page.next;
            if cursor.is_none() {
                return Ok((round, self.account().await?));
            }
            if !is_full {
                self.rest(began.elapsed()).await?;
            }
        }
    }

    async fn rest(&self, worked: Duration) -> Result<(), RoundFailed> {
        tokio::time::sleep((worked * REST).min(REST_MOST)).await;
        let is_full_wanted = self.audits.with(|state| state.is_full_wanted);
        if is_full_wanted || !self.is_mine() { Err(RoundFailed::GivenUp) } else { Ok(()) }
    }

    /// Reads a page, and topic by topic when one of it can't be read.
    async fn read(
        &self,
        topics: &[Topic],
        streams: &Arc<[StreamId]>,
        round: &mut Round,
    ) -> Result<(), StoreError> {
        if !round.is_full() {
            match self.store.positions(topics.into(), streams.clone()).await {
                Ok(positions) => {
                    let forgotten = self.store.forgotten(topics.into()).await?;
                    for ((topic, of), forgotten) in topics.iter().zip(positions).zip(forgotten) {
                        round.handle_document(topic, with_events(streams, of), forgotten);
                    }
                    return Ok(());
                }
                Err(StoreError::Damaged(_)) => {}
                Err(e) => return Err(e),
            }
        }
        for topic in topics {
            match self.read_one(topic, streams, round.is_full()).await {
                Ok((events, forgotten)) => round.handle_document(topic, events.into_iter(), forgotten),
                Err(StoreError::Damaged(_)) => round.handle_unreadable(topic.clone()),
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    async fn read_one(
        &self,
        topic: &Topic,
        streams: &Arc<[StreamId]>,
        is_full: bool,
    ) -> Result<(Vec<(StreamId, u64)>, u64), StoreError> {
        if is_full {
            let document = self.store.document(topic).await?.unwrap_or_default();
            let events = document.streams.into_iter().map(|(stream, at)| (stream, at.events)).collect();
            return Ok((events, document.forgotten));
        }
        let positions = self.store.positions([topic.clone()].into(), streams.clone()).await?;
        let forgotten = self.store.forgotten([topic.clone()].into()).await?.into_iter().sum();
        Ok((positions.into_iter().flat_map(|of| with_events(streams, of)).collect(), forgotten))
    }
}

/// Which start of each leaf there is.
fn leaves_of(view: &ClusterView) -> Vec<(NodeName, u64)> {
    view.tier(Tier::Leaf).map(|leaf| (leaf.name.clone(), leaf.incarnation)).collect()
}

fn with_events(streams: &[StreamId], positions: Vec<Position>) -> impl Iterator<Item = (StreamId, u64)> {
    streams.iter().cloned().zip(positions.into_iter().map(|at| at.events))
}
