//! One round of the audit: reads every document, page by page, between two accounts of the ledgers.

use super::AuditTask;
use super::round_failed::RoundFailed;
use crate::machine::audit::{Account, Round};
use crate::machine::documents::Position;
use crate::machine::registry::registrar::Ask;
use crate::store::{Cursor, Store, StoreError};
use countree_common::cluster::Tier;
use countree_common::key::Topic;
use countree_common::stream::StreamId;
use countree_common::wire::rpc::{Reply, Request};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Topics in a page.
const PAGE: usize = 128;
/// After a page the audit rests this many times as long as the page took: it uses a hundredth of a core at most.
const REST: u32 = 99;
/// The longest rest: a page takes longer only when the store is busy, or its answers travel.
const REST_MOST: Duration = Duration::from_secs(1);

impl AuditTask {
    /// Asks the registry and every leaf for the ledgers.
    async fn account(&self) -> Result<Account, RoundFailed> {
        let records = match self.registry.ask(Ask::AuditRecords).await {
            Reply::AuditRecords(records) => *records,
            Reply::Failed(e) => return Err(RoundFailed::Registry(e)),
            other => return Err(RoundFailed::Registry(format!("it says {other:?}"))),
        };
        let mut leaves = Vec::new();
        for leaf in records.view.tier(Tier::Leaf) {
            let answer = match self.membership.peers().call(leaf, &Request::Ledgers).await {
                Ok(Reply::Ledgers(ledgers)) => Some(ledgers),
                Ok(_) | Err(_) => None,
            };
            leaves.push((leaf.name.clone(), answer));
        }
        Ok(Account::new(records, leaves))
    }

    /// Runs a round; returns it with the account after it.
    pub(super) async fn round(&self, is_full: bool) -> Result<(Round, Account), RoundFailed> {
        if is_full {
            self.have_leaves_ask().await;
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

    /// Rests after a page; fails when this round is to be given up for another.
    async fn rest(&self, worked: Duration) -> Result<(), RoundFailed> {
        tokio::time::sleep((worked * REST).min(REST_MOST)).await;
        if self.results.is_full_wanted() || !self.is_mine() { Err(RoundFailed::GivenUp) } else { Ok(()) }
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

fn with_events(streams: &[StreamId], positions: Vec<Position>) -> impl Iterator<Item = (StreamId, u64)> {
    streams.iter().cloned().zip(positions.into_iter().map(|at| at.events))
}
