//! A broadcast node's connection: the topics that it follows, and those that wait to be read for it.

use crate::machine::ReadId;
use countree_common::document::{Update, Version};
use countree_common::key::Topic;
use std::collections::{BTreeSet, HashMap, VecDeque};

/// The state of a topic on a connection.
#[derive(Debug)]
pub(super) enum FollowState {
    /// The node holds nothing of it, or something too old: it waits for its turn to be read.
    Waiting,
    /// The same, and the read is under way.
    Reading { read: ReadId, held: Vec<Update>, held_totals: usize, floor: Option<Version> },
    /// The node holds everything up to this version.
    Current(Version),
}

/// A topic on a connection.
#[derive(Debug)]
pub(super) struct Follow {
    pub(super) progress: FollowState,
    /// Whether the connection was sent a snapshot, and has missed something since.
    pub(super) behind: bool,
}

/// A connection that follows topics.
#[derive(Debug, Default)]
pub(super) struct Follower {
    pub(super) topics: HashMap<Topic, Follow>,
    /// Topics to be read; may name some that no longer wait.
    pub(super) queue: VecDeque<Topic>,
    pub(super) under_way: usize,
    /// The number of topics that are [`Follow::behind`].
    pub(super) behind: usize,
}

impl Follower {
    pub(super) fn read_again(&mut self, read: ReadId, topic: &Topic) {
        if let Some(Follow { progress, .. }) = self.topics.get_mut(topic)
            && matches!(progress, FollowState::Reading { read: current, .. } if *current == read)
        {
            *progress = FollowState::Waiting;
            self.queue.push_back(topic.clone());
        }
    }

    /// Forgets queued topics that no longer wait once they are most of the queue, so that following and
    /// unfollowing in turns can't make it grow.
    pub(super) fn compact_queue(&mut self) {
        if self.queue.len() > 2 * self.topics.len() {
            let mut seen = BTreeSet::new();
            let topics = &self.topics;
            let waits =
                |t: &Topic| matches!(topics.get(t), Some(Follow { progress: FollowState::Waiting, .. }));
            self.queue.retain(|t| waits(t) && seen.insert(t.clone()));
        }
    }
}

/// Whether version `held` has everything of version `seen`. Of two eras it is not known here which is the
/// later one.
pub(super) fn covers(held: Version, seen: Version) -> bool {
    held.era == seen.era && held >= seen
}

/// The later one of what was seen: within an era the higher, else the last one.
pub(super) fn later(before: Option<Version>, seen: Version) -> Version {
    before.filter(|before| covers(*before, seen)).unwrap_or(seen)
}

/// The part of a [`Follower`] beside its topics.
pub(super) struct ReadQueue<'a> {
    pub(super) queue: &'a mut VecDeque<Topic>,
    pub(super) behind: &'a mut usize,
}

impl ReadQueue<'_> {
    pub(super) fn fall_behind(&mut self, follow: &mut Follow, topic: &Topic) {
        follow.progress = FollowState::Waiting;
        *self.behind += usize::from(!std::mem::replace(&mut follow.behind, true));
        self.queue.push_back(topic.clone());
    }
}
