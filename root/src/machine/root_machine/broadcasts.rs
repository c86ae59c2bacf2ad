//! Broadcast nodes: the topics that they follow, and the totals that they get.

use super::{ConnectionId, RootMachine, publish};
use crate::machine::output::Output;
use crate::machine::publishing::coalesced::CoalescedUpdate;
use crate::machine::publishing::interest::TooMuchInterest;
use countree_common::cut::{Cut, Outcome};
use countree_common::time::WallMs;

impl RootMachine {
    /// Notes that a broadcast node has connected.
    ///
    /// # Errors
    /// When there are too many; the conversation is to be refused.
    pub fn handle_broadcast_opened(&mut self, connection: ConnectionId) -> Result<(), TooMuchInterest> {
        self.interests.open(connection)?;
        if self.watermarks.watermark() > WallMs(0) {
            self.awaiting_watermark.insert(connection);
        }
        Ok(())
    }

    /// Notes that a broadcast node's connection is gone.
    pub fn handle_broadcast_closed(&mut self, connection: ConnectionId) {
        self.interests.close(connection);
        self.awaiting_watermark.remove(&connection);
    }

    /// Takes a broadcast node's message.
    ///
    /// # Errors
    /// When it wants too much; the conversation is to be ended.
    pub fn handle_broadcast(
        &mut self,
        connection: ConnectionId,
        message: publish::ToRoot,
    ) -> Result<(), TooMuchInterest> {
        match message {
            publish::ToRoot::Interest(topics) => self.interests.follow(connection, topics),
            publish::ToRoot::Disinterest(topics) => {
                self.interests.unfollow(connection, &topics);
                Ok(())
            }
        }
    }

    /// Notes that the last piece of a snapshot was sent.
    pub fn handle_snapshot_sent(&mut self, connection: ConnectionId) {
        self.interests.handle_snapshot_sent(connection);
    }

    /// Publishes the totals of merged cuts to followers, those of one topic as one update.
    pub(super) fn publish_merged(&mut self, cuts: &[Cut], outcomes: Vec<Option<Outcome>>) {
        let mut update = None::<CoalescedUpdate>;
        for (cut, outcome) in cuts.iter().zip(outcomes) {
            if !self.interests.is_followed(&cut.topic) {
                continue;
            }
            match outcome {
                Some(Outcome::Applied(applied)) => match &mut update {
                    Some(update) if update.is_followed_by(cut, &applied) => update.add(cut, &applied),
                    _ => self.publish(update.replace(CoalescedUpdate::new(cut, &applied))),
                },
                // Merged before, perhaps without a word to those who follow the topic.
                Some(Outcome::Have { version, .. }) => {
                    self.publish(update.take());
                    self.interests.notice(&cut.topic, version);
                }
                Some(Outcome::Overflow) | None => {}
            }
        }
        self.publish(update);
    }

    fn publish(&mut self, update: Option<CoalescedUpdate>) {
        let Some(update) = update.map(CoalescedUpdate::into_update) else { return };
        let connections = self.interests.publish(&update);
        if !connections.is_empty() {
            let message = publish::FromRoot::Update(update);
            self.outputs.push_back(Output::Publish { connections, message });
        }
    }
}
