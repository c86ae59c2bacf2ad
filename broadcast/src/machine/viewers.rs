//! Viewers: for each of their topics, only the version that was last sent, and the one that was last sent
//! reliably.

use super::ids::{AwayId, CheckId, Format, TopicHandle};
use countree_common::document::Version;
use countree_common::time::Time;

/// The version that a viewer has of a topic when it subscribes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// Nothing.
    Nothing,
    /// This version, which this node has just sent it, with the set of leaves that were away then.
    Sent(Version, AwayId),
    /// This version, by the viewer's own claim, from this node or another.
    Held(Version),
}

impl Since {
    fn version(self) -> Option<Version> {
        match self {
            Since::Nothing => None,
            Since::Sent(version, _) | Since::Held(version) => Some(version),
        }
    }
}

/// One viewer.
#[derive(Debug)]
pub(super) struct Viewer {
    pub(super) format: Format,
    /// By handle.
    subscriptions: Vec<Subscription>,
    /// Topics with changes for it, in the order in which they became dirty.
    pub(super) dirty: Vec<TopicHandle>,
    /// Whether it is queued to be served.
    pub(super) in_line: bool,
    /// Whether it was sent the message that the node is leaving.
    pub(super) knows_farewell: bool,
    /// Whether it asked for the leaves that are away, and the set that it was sent last.
    pub(super) wants_away: bool,
    pub(super) told_away: Option<AwayId>,
}

/// A viewer's state of a topic.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subscription {
    pub(super) handle: TopicHandle,
    /// The version that it was last sent; `None` while it has no snapshot.
    pub(super) sent: Option<Version>,
    /// The last version that it was sent reliably. Never above `sent`.
    pub(super) reliable: Option<Version>,
    /// The time at which it was last sent something reliably.
    pub(super) reliable_at: Time,
    /// Whether it knows the topic's handle, or was sent an event.
    pub(super) announced: bool,
    /// The set of leaves that are away in the last event that it was sent.
    pub(super) told_away: Option<AwayId>,
    /// The version that it claims to hold, until something was sent on top of that.
    claim: Option<Claim>,
    /// Whether the handle is in the viewer's `dirty`.
    dirty: bool,
}

/// The version that a viewer claims to hold. Another era, or an earlier version of this one, is sent to it
/// only if the store is known to have it now.
#[derive(Debug, Clone, Copy)]
struct Claim {
    version: Version,
    /// The last check that began before the viewer came: only later ones count for it.
    after: CheckId,
}

impl Subscription {
    /// Whether the viewer may be sent this version; `confirmed` is the last check that found its era in the
    /// store.
    pub(super) fn may_be_sent(&mut self, version: Version, confirmed: CheckId) -> bool {
        let follows = |held: Version| held.era == version.era && held <= version;
        let may = self.claim.is_none_or(|claim| follows(claim.version) || confirmed > claim.after);
        if may {
            self.claim = None;
        }
        may
    }

    /// Whether it waits for a check.
    pub(super) fn awaits_check(&self) -> bool {
        self.claim.is_some()
    }

    /// Notes that the viewer was sent this version on its stream.
    pub(super) fn stands_at(&mut self, version: Version, now: Time) {
        (self.sent, self.reliable, self.reliable_at) = (Some(version), Some(version), now);
    }
}

impl Viewer {
    pub(super) fn new(format: Format) -> Self {
        Self {
            format,
            subscriptions: Vec::new(),
            dirty: Vec::new(),
            in_line: false,
            knows_farewell: false,
            wants_away: false,
            told_away: None,
        }
    }

    fn place(&self, handle: TopicHandle) -> Result<usize, usize> {
        self.subscriptions.binary_search_by_key(&handle, |s| s.handle)
    }

    /// Returns the number of topics that it watches.
    pub(super) fn topics(&self) -> usize {
        self.subscriptions.len()
    }

    /// Returns the topics that it watches.
    pub(super) fn handles(&self) -> impl Iterator<Item = TopicHandle> {
        self.subscriptions.iter().map(|s| s.handle)
    }

    pub(super) fn subscription(&mut self, handle: TopicHandle) -> Option<&mut Subscription> {
        let at = self.place(handle).ok()?;
        self.subscriptions.get_mut(at)
    }

    /// Adds a topic; returns false if the viewer watches it already. `checked` is the last check that began.
    pub(super) fn subscribe(
        &mut self,
        handle: TopicHandle,
        since: Since,
        checked: CheckId,
        now: Time,
    ) -> bool {
        let Err(at) = self.place(handle) else { return false };
        // A viewer over QUIC gets a snapshot in any case, which shows it that it has the whole topic.
        let sent = since.version().filter(|_| self.format == Format::Events);
        let subscription = Subscription {
            handle,
            sent,
            reliable: sent,
            reliable_at: now,
            announced: matches!(since, Since::Sent(..)),
            told_away: if let Since::Sent(_, away) = since { Some(away) } else { None },
            // Also when it holds 0-0: the store may have gone back to before the topic was counted.
            claim: since.version().map(|version| Claim { version, after: checked }),
            dirty: false,
        };
        self.subscriptions.insert(at, subscription);
        true
    }

    /// Removes a topic; returns false if the viewer did not watch it.
    pub(super) fn unsubscribe(&mut self, handle: TopicHandle) -> bool {
        let Ok(at) = self.place(handle) else { return false };
        self.subscriptions.remove(at);
        self.dirty.retain(|h| *h != handle);
        true
    }

    /// Marks the topic as dirty for this viewer.
    pub(super) fn mark(&mut self, handle: TopicHandle) {
        if let Some(subscription) = self.subscription(handle)
            && !std::mem::replace(&mut subscription.dirty, true)
        {
            self.dirty.push(handle);
        }
    }

    /// Begins a round of deliveries: the dirty topics, none of them dirty any more.
    pub(super) fn take_dirty(&mut self) -> Vec<TopicHandle> {
        let dirty = std::mem::take(&mut self.dirty);
        for handle in &dirty {
            if let Some(subscription) = self.subscription(*handle) {
                subscription.dirty = false;
            }
        }
        dirty
    }
}
