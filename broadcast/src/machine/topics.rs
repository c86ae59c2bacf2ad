//! The topics that viewers of this node watch, or watched a moment ago.

use super::checks::Check;
use super::document::Document;
use super::encoding::Encodings;
use super::ids::{CheckId, TopicHandle, ViewerId};
use super::sources::Sources;
use countree_common::document::Version;
use countree_common::era::Eras;
use countree_common::key::Topic;
use countree_common::time::Time;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

/// Time for which a topic without viewers is kept, for viewers that return.
pub const KEEP_IDLE: Duration = Duration::from_secs(30);

/// The state of one topic.
#[derive(Debug)]
pub(super) struct TopicState {
    pub(super) name: Topic,
    /// `None` until a root has sent the first snapshot.
    pub(super) document: Option<Document>,
    /// The eras that the document has gone through.
    pub(super) eras: Eras,
    /// The check of its era that is under way.
    pub(super) check: Option<Check>,
    /// The last check that confirmed the held era.
    pub(super) confirmed: CheckId,
    /// The roots that send its totals.
    pub(super) sources: Sources,
    pub(super) viewers: BTreeSet<ViewerId>,
    pub(super) encodings: Encodings,
    /// The time at which the document last changed.
    pub(super) changed_at: Time,
    /// Whether its viewers are still to be sent the last change.
    pub(super) changed: bool,
    /// Whether a viewer may have its totals from a datagram alone.
    pub(super) unsettled: bool,
    idle_since: Option<Time>,
}

impl TopicState {
    /// Returns the document's version.
    pub(super) fn version(&self) -> Option<Version> {
        self.document.as_ref().map(Document::version)
    }
}

/// All topics, by handle and by name.
#[derive(Debug)]
pub(super) struct Topics {
    slots: Vec<Option<TopicState>>,
    free: VecDeque<TopicHandle>,
    names: HashMap<Topic, TopicHandle>,
    idle: BTreeSet<(Time, TopicHandle)>,
    limit: usize,
}

impl Topics {
    /// Makes a table of at most `limit` topics.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: VecDeque::new(),
            names: HashMap::new(),
            idle: BTreeSet::new(),
            limit: limit.min(u32::MAX as usize),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    pub(super) fn handle(&self, topic: &Topic) -> Option<TopicHandle> {
        self.names.get(topic).copied()
    }

    pub(super) fn get(&self, handle: TopicHandle) -> Option<&TopicState> {
        self.slots.get(handle.index())?.as_ref()
    }

    pub(super) fn get_mut(&mut self, handle: TopicHandle) -> Option<&mut TopicState> {
        self.slots.get_mut(handle.index())?.as_mut()
    }

    /// Returns every topic, in the order of the handles.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (TopicHandle, &mut TopicState)> {
        (0..)
            .zip(self.slots.iter_mut())
            .filter_map(|(handle, slot)| Some((TopicHandle(handle), slot.as_mut()?)))
    }

    /// Whether there is room for one more without dropping one.
    pub(super) fn is_full(&self) -> bool {
        self.names.len() >= self.limit
    }

    /// Begins to hold a topic. The caller has made room.
    pub(super) fn insert(&mut self, name: Topic, now: Time) -> TopicHandle {
        let handle = self.free.pop_front().unwrap_or_else(|| {
            self.slots.push(None);
            // `limit` fits.
            TopicHandle(u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX))
        });
        let state = TopicState {
            name: name.clone(),
            document: None,
            eras: Eras::default(),
            check: None,
            confirmed: CheckId::default(),
            sources: Sources::default(),
            viewers: BTreeSet::new(),
            encodings: Encodings::default(),
            changed_at: now,
            changed: false,
            unsettled: false,
            idle_since: None,
        };
        if let Some(slot) = self.slots.get_mut(handle.index()) {
            *slot = Some(state);
        }
        self.names.insert(name, handle);
        handle
    }

    /// Drops a topic.
    pub(super) fn remove(&mut self, handle: TopicHandle) -> Option<TopicState> {
        let state = self.slots.get_mut(handle.index())?.take()?;
        self.names.remove(&state.name);
        if let Some(since) = state.idle_since {
            self.idle.remove(&(since, handle));
        }
        self.free.push_back(handle);
        Some(state)
    }

    /// Counts a viewer of the topic.
    pub(super) fn watch(&mut self, handle: TopicHandle, viewer: ViewerId) {
        let Some(state) = self.slots.get_mut(handle.index()).and_then(Option::as_mut) else { return };
        state.viewers.insert(viewer);
        if let Some(since) = state.idle_since.take() {
            self.idle.remove(&(since, handle));
        }
    }

    /// Uncounts a viewer of the topic.
    pub(super) fn unwatch(&mut self, handle: TopicHandle, viewer: ViewerId, now: Time) {
        let Some(state) = self.slots.get_mut(handle.index()).and_then(Option::as_mut) else { return };
        state.viewers.remove(&viewer);
        if state.viewers.is_empty() && state.idle_since.is_none() {
            state.idle_since = Some(now);
            self.idle.insert((now, handle));
        }
    }

    /// Returns the topic that has been without viewers for longest, and since when.
    pub(super) fn longest_idle(&self) -> Option<(Time, TopicHandle)> {
        self.idle.first().copied()
    }
}
