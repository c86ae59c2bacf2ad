//! Answers of the store: merges, reads and forgotten topics.

use super::RootMachine;
use crate::machine::merge::queue::Answered;
use crate::machine::output::Output;
use crate::machine::publishing::interest::ReadResult;
use crate::machine::{BatchId, ReadId, StoreSilent};
use countree_common::cut::Outcome;
use countree_common::document::{Snapshot, Version};
use countree_common::key::Topic;
use countree_common::time::Time;
use countree_common::wire::uplink;
use std::time::Duration;

/// After a failed read nothing is read for this long.
const READ_PAUSE: Duration = Duration::from_millis(100);

impl RootMachine {
    /// Takes the store's answer to a merge: the outcome of each cut, in order; `None` where it is not known.
    pub fn handle_merged(&mut self, batch: BatchId, outcomes: Vec<Option<Outcome>>) {
        let Some(Answered { outcomes: answers, cuts }) = self.merges.handle_merged(batch, &outcomes) else {
            return;
        };
        // Totals first: once a leaf knows that a cut is merged it may say a stamp back, and the watermark must not
        // overtake the totals.
        let near = self.near_limit.learn(&cuts, &outcomes);
        self.publish_merged(&cuts, outcomes);
        // Before its answer too, or a leaf's next event could be taken by another that does not know.
        let leaves: Vec<_> = self.leaves.keys().copied().collect();
        self.alert_near_limit(&leaves, &near);
        for (connection, outcomes) in answers {
            if self.leaves.contains_key(&connection) {
                let message = uplink::FromRoot::Outcomes(outcomes);
                self.outputs.push_back(Output::Answer { connection, message });
            }
        }
    }

    /// Notes that the store has forgotten a topic; `version` is that of the document since.
    pub fn handle_forgotten(&mut self, topic: &Topic, version: Version) {
        // No update says so: those who follow the topic are sent what is left, a snapshot of nothing.
        self.interests.notice(topic, version);
        let near = self.near_limit.forget(topic);
        let leaves: Vec<_> = self.leaves.keys().copied().collect();
        self.alert_near_limit(&leaves, &near);
    }

    /// Takes the store's answer to a read; `None` for a topic never counted.
    pub fn handle_read(&mut self, read: ReadId, result: Result<Option<Snapshot>, StoreSilent>, now: Time) {
        self.handle_tick(now);
        match result {
            Ok(snapshot) => match self.interests.handle_read(read, snapshot) {
                ReadResult::Send(connection, snapshot) => {
                    self.outputs.push_back(Output::Snapshot { connection, snapshot });
                }
                ReadResult::Nothing => {}
            },
            Err(StoreSilent) => {
                self.interests.handle_read_failed(read);
                self.reads.paused_until = self.now + READ_PAUSE;
            }
        }
    }
}
