//! Tracks which broadcast node follows which topic, and which version each of them holds.
//!
//! Each connection's stream is gapless by construction: a topic's snapshot, then the updates that follow
//! it, each upon the version before. While a topic is read for a connection, its updates are kept and
//! folded into the snapshot when it comes; where something is still missing, the topic is read again.

use super::fold::{begins_an_era, fold};
use super::follower::{Follow, FollowState, Follower, ReadQueue, covers, later};
use crate::machine::{ConnectionId, ReadId};
use countree_common::document::{Snapshot, Update, Version};
use countree_common::key::Topic;
use countree_common::limits::{NODES_PER_CLUSTER, TOPICS_PER_BROADCAST};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Snapshots that one connection has being read or unsent. The next topic is read when one of them is
/// on its way, so that a node that asks for a million topics is not sent them all at once.
pub const SNAPSHOTS_UNDER_WAY: usize = 32;
/// Totals of updates that are kept while a topic is read; beyond it the topic is read once more instead.
pub const TOTALS_HELD: usize = 1 << 16;

/// A broadcast node that asks for more than a root remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooMuchInterest {
    /// One node wants too many topics.
    #[error("a broadcast node may follow {TOPICS_PER_BROADCAST} topics and no more")]
    Topics,
    /// Too many nodes.
    #[error("a root publishes to {NODES_PER_CLUSTER} connections and no more")]
    Connections,
}

/// All broadcast connections and what they follow.
#[derive(Debug, Default)]
pub struct Interests {
    connections: BTreeMap<ConnectionId, Follower>,
    followers: HashMap<Topic, BTreeSet<ConnectionId>>,
    reads: BTreeMap<ReadId, (ConnectionId, Topic)>,
    next_read: u64,
}

/// The result of a read, for the followers of its topic.
#[derive(Debug)]
pub enum ReadResult {
    /// Send this.
    Send(ConnectionId, Snapshot),
    /// Nobody waits for it any more, or it was too old already and is read again.
    Nothing,
}

impl Interests {
    /// A broadcast node begins to listen.
    ///
    /// # Errors
    /// When there are too many.
    pub fn open(&mut self, connection: ConnectionId) -> Result<(), TooMuchInterest> {
        if self.connections.len() >= NODES_PER_CLUSTER {
            return Err(TooMuchInterest::Connections);
        }
        self.connections.entry(connection).or_default();
        Ok(())
    }

    /// A broadcast node is gone.
    pub fn close(&mut self, connection: ConnectionId) {
        let Some(gone) = self.connections.remove(&connection) else { return };
        // The order does not matter: nothing is sent.
        gone.topics.keys().for_each(|topic| self.remove_follower(connection, topic));
    }

    /// The connections, in the order of their opening.
    pub fn connections(&self) -> impl Iterator<Item = ConnectionId> {
        self.connections.keys().copied()
    }

    /// Topics that somebody follows.
    pub fn topics(&self) -> usize {
        self.followers.len()
    }

    /// Whether everything merged so far has been sent to this connection, as far as this root knows.
    pub fn is_up_to_date(&self, connection: ConnectionId) -> bool {
        self.connections.get(&connection).is_some_and(|c| c.behind == 0)
    }

    /// A broadcast node wants a snapshot of each of these, and then what changes.
    ///
    /// # Errors
    /// When it follows too many.
    pub fn follow(&mut self, connection: ConnectionId, topics: Vec<Topic>) -> Result<(), TooMuchInterest> {
        let Some(state) = self.connections.get_mut(&connection) else { return Ok(()) };
        for topic in topics {
            let is_full = state.topics.len() >= TOPICS_PER_BROADCAST;
            match state.topics.get_mut(&topic) {
                // The read to come, or under way, is the snapshot that is asked for.
                Some(Follow { progress: FollowState::Waiting | FollowState::Reading { .. }, .. }) => continue,
                // It still holds an older one, which no watermark may speak for.
                Some(follow) => {
                    follow.progress = FollowState::Waiting;
                    state.behind += usize::from(!std::mem::replace(&mut follow.behind, true));
                }
                None if is_full => return Err(TooMuchInterest::Topics),
                None => {
                    self.followers.entry(topic.clone()).or_default().insert(connection);
                    state
                        .topics
                        .insert(topic.clone(), Follow { progress: FollowState::Waiting, behind: false });
                }
            }
            state.queue.push_back(topic);
        }
        Ok(())
    }

    /// A broadcast node wants nothing more of these.
    pub fn unfollow(&mut self, connection: ConnectionId, topics: &[Topic]) {
        let Some(state) = self.connections.get_mut(&connection) else { return };
        let mut dropped = Vec::new();
        for topic in topics {
            if let Some(follow) = state.topics.remove(topic) {
                state.behind -= usize::from(follow.behind);
                dropped.push(topic);
            }
        }
        state.compact_queue();
        dropped.into_iter().for_each(|topic| self.remove_follower(connection, topic));
    }

    fn remove_follower(&mut self, connection: ConnectionId, topic: &Topic) {
        if let Some(followers) = self.followers.get_mut(topic) {
            followers.remove(&connection);
            if followers.is_empty() {
                self.followers.remove(topic);
            }
        }
    }

    /// Whether anybody follows the topic.
    pub fn is_followed(&self, topic: &Topic) -> bool {
        self.followers.contains_key(topic)
    }

    /// Takes what a merge changed; returns those it is to be sent to.
    pub fn publish(&mut self, update: &Update) -> Vec<ConnectionId> {
        let mut receivers = Vec::new();
        self.for_each_follower(&update.topic, |connection, state, follow| match &mut follow.progress {
            FollowState::Current(version) if update.base == *version && !begins_an_era(update) => {
                *version = update.version;
                receivers.push(connection);
            }
            FollowState::Reading { held, held_totals, floor, .. } => {
                *floor = Some(later(*floor, update.version));
                *held_totals += update.totals.len();
                if *held_totals <= TOTALS_HELD {
                    held.push(update.clone());
                } else {
                    held.clear();
                }
            }
            FollowState::Current(version) if !covers(*version, update.version) => {
                state.fall_behind(follow, &update.topic);
            }
            FollowState::Current(_) | FollowState::Waiting => {}
        });
        receivers
    }

    /// Learns that the store holds this version, without knowing what changed: another root has merged, or this one and
    /// the answer was lost. The topic is read again for connections that hold less.
    pub fn notice(&mut self, topic: &Topic, seen: Version) {
        self.for_each_follower(topic, |_, state, follow| match &mut follow.progress {
            FollowState::Current(version) if !covers(*version, seen) => state.fall_behind(follow, topic),
            FollowState::Reading { floor, .. } => *floor = Some(later(*floor, seen)),
            FollowState::Current(_) | FollowState::Waiting => {}
        });
    }

    /// The store may have gone back in time: whatever was read from it, or is being read, is read again.
    pub fn read_all_again(&mut self) {
        for Follower { topics, queue, behind, .. } in self.connections.values_mut() {
            let mut followed: Vec<_> = topics.iter_mut().collect();
            followed.sort_unstable_by_key(|(topic, _)| *topic);
            for (topic, follow) in followed {
                match follow.progress {
                    FollowState::Current(_) => ReadQueue { queue, behind }.fall_behind(follow, topic),
                    FollowState::Reading { .. } => {
                        follow.progress = FollowState::Waiting;
                        queue.push_back(topic.clone());
                    }
                    FollowState::Waiting => {}
                }
            }
        }
    }

    fn for_each_follower(
        &mut self,
        topic: &Topic,
        mut visit: impl FnMut(ConnectionId, &mut ReadQueue<'_>, &mut Follow),
    ) {
        for id in self.followers.get(topic).into_iter().flatten() {
            let Some(Follower { topics, queue, behind, .. }) = self.connections.get_mut(id) else {
                continue;
            };
            let Some(follow) = topics.get_mut(topic) else { continue };
            visit(*id, &mut ReadQueue { queue, behind }, follow);
        }
    }

    /// The next topic to be read, if there is one and its connection has room for it.
    pub fn next_read(&mut self) -> Option<(ReadId, Topic)> {
        for (connection, state) in &mut self.connections {
            if state.under_way >= SNAPSHOTS_UNDER_WAY {
                continue;
            }
            while let Some(topic) = state.queue.pop_front() {
                let Some(Follow { progress: progress @ FollowState::Waiting, .. }) =
                    state.topics.get_mut(&topic)
                else {
                    continue;
                };
                let read = ReadId(self.next_read);
                self.next_read += 1;
                *progress = FollowState::Reading { read, held: Vec::new(), held_totals: 0, floor: None };
                state.under_way += 1;
                self.reads.insert(read, (*connection, topic.clone()));
                return Some((read, topic));
            }
        }
        None
    }

    /// The store could not be read; the topic waits again.
    pub fn handle_read_failed(&mut self, read: ReadId) {
        let Some((connection, topic)) = self.reads.remove(&read) else { return };
        let Some(state) = self.connections.get_mut(&connection) else { return };
        state.under_way -= 1;
        state.read_again(read, &topic);
    }

    /// Takes what the store has read; `None` for a topic never counted.
    pub fn handle_read(&mut self, read: ReadId, snapshot: Option<Snapshot>) -> ReadResult {
        let Some((connection, topic)) = self.reads.remove(&read) else { return ReadResult::Nothing };
        let Some(state) = self.connections.get_mut(&connection) else { return ReadResult::Nothing };
        let (held, floor) = match state.topics.get_mut(&topic).map(|f| &mut f.progress) {
            Some(FollowState::Reading { read: current, held, floor, .. }) if *current == read => {
                (std::mem::take(held), *floor)
            }
            // Unwanted in between, and perhaps wanted again: that is another read, which misses nothing.
            _ => {
                state.under_way -= 1;
                return ReadResult::Nothing;
            }
        };
        let never_counted =
            Snapshot { topic: topic.clone(), version: Version::default(), totals: Vec::new() };
        let snapshot = fold(snapshot.unwrap_or(never_counted), held);
        if floor.is_some_and(|floor| !covers(snapshot.version, floor)) {
            state.under_way -= 1;
            state.read_again(read, &topic);
            return ReadResult::Nothing;
        }
        if let Some(follow) = state.topics.get_mut(&topic) {
            follow.progress = FollowState::Current(snapshot.version);
            state.behind -= usize::from(std::mem::take(&mut follow.behind));
        }
        ReadResult::Send(connection, snapshot)
    }

    /// A snapshot has left for its connection.
    pub fn handle_snapshot_sent(&mut self, connection: ConnectionId) {
        if let Some(state) = self.connections.get_mut(&connection) {
            state.under_way = state.under_way.saturating_sub(1);
        }
    }
}

#[cfg(test)]
#[path = "interest_tests.rs"]
mod tests;
