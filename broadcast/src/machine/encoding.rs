//! Encodings that many viewers share: one for all viewers at the same version.

use super::away::Away;
use super::document::Document;
use super::frames::frames;
use super::ids::{AwayId, Format, TopicHandle};
use super::sources::{Roots, Sources};
use bytes::Bytes;
use countree_common::document::{CounterTotal, TopicView, Version, counts};
use countree_common::key::Topic;
use countree_common::limits::DATAGRAM_BYTES;
use countree_common::time::{Time, WallMs};
use countree_common::wire::codec;
use countree_common::wire::publish::snapshot_parts;
use countree_common::wire::viewer::{Changes, FromBroadcast};
use std::collections::BTreeMap;
use std::time::Duration;

/// Most bytes of totals in one frame to a viewer: small enough that a frame never takes long to arrive.
const PIECE_BYTES: usize = 64 << 10;
/// Shortest encoded total: two names with their lengths, and the number.
const TOTAL_BYTES_MIN: usize = 5;
/// A snapshot is reused, followed by the changes since, while these are at most one in this many of its
/// counters …
const SNAPSHOT_REUSE_SHARE: usize = 16;
/// … or at most this many.
const SNAPSHOT_REUSE_COUNTERS: usize = 64;

/// The input of an encoding: a topic at its present version.
pub(super) struct Subject<'a> {
    pub(super) handle: TopicHandle,
    pub(super) name: &'a Topic,
    pub(super) document: &'a Document,
    pub(super) sources: &'a Sources,
    pub(super) roots: &'a Roots,
    pub(super) away: &'a Away,
    /// The tick, which tells encodings of the last tick from new ones.
    pub(super) tick: u64,
    pub(super) now: Time,
}

impl Subject<'_> {
    fn complete_to(&self) -> WallMs {
        self.roots.complete_to(self.sources, self.document.version())
    }

    fn changes(&self, totals: Vec<CounterTotal>) -> Changes {
        let (version, complete_to) = (self.document.version(), self.complete_to());
        Changes { handle: self.handle.0, version, complete_to, totals }
    }

    fn event(&self, name: &str, totals: Vec<CounterTotal>) -> Bytes {
        let Version { era, number } = self.document.version();
        let (topic, complete_to) = (self.name.clone(), self.complete_to());
        let view = TopicView {
            topic,
            era,
            version: number,
            complete_to,
            away: self.away.names.clone(),
            counts: counts(totals),
            is_snapshot: name == "snapshot",
        };
        // A map with string keys always serialises, and JSON has no line breaks of its own.
        let json = serde_json::to_string(&view).unwrap_or_default();
        format!("event: {name}\nid: {era}-{number}\ndata: {json}\n\n").into()
    }
}

/// Encoded changes.
#[derive(Debug, Clone)]
pub(super) struct Encoded {
    /// `None` when they don't fit a datagram.
    pub(super) bytes: Option<Bytes>,
    /// The age of the oldest change.
    pub(super) age: Duration,
}

/// An encoded snapshot.
#[derive(Debug, Clone)]
pub(super) struct EncodedSnapshot {
    pub(super) version: Version,
    pub(super) bytes: Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    Datagram,
    Stream(Format),
}

/// One topic's encodings.
#[derive(Debug, Default)]
pub(super) struct Encodings {
    /// The tick, the version and the set of leaves that are away, which `changes` belongs to.
    made_at: (u64, Version, AwayId),
    /// Encoded changes, by the version from which they start and their form.
    changes: BTreeMap<(Version, Form), Encoded>,
    snapshots: BTreeMap<Format, EncodedSnapshot>,
}

impl Encodings {
    /// Returns the changes since `base`, for a datagram.
    pub(super) fn datagram(&mut self, subject: &Subject<'_>, base: Version) -> Encoded {
        self.changes_in(Form::Datagram, subject, base)
    }

    /// Returns the changes since `base`, for the stream.
    pub(super) fn stream(&mut self, format: Format, subject: &Subject<'_>, base: Version) -> Encoded {
        self.changes_in(Form::Stream(format), subject, base)
    }

    fn changes_in(&mut self, form: Form, subject: &Subject<'_>, base: Version) -> Encoded {
        let made_at = (subject.tick, subject.document.version(), subject.away.id);
        if self.made_at != made_at {
            self.changes.clear();
            self.made_at = made_at;
        }
        let make = || {
            let since = subject.document.arrival_after(base);
            let age = since.map_or(Duration::ZERO, |at| subject.now.since(at));
            Encoded { bytes: encode_changes(form, subject, base), age }
        };
        self.changes.entry((base, form)).or_insert_with(make).clone()
    }

    /// Returns a snapshot, not necessarily the newest: the changes since it follow separately. Also returns
    /// whether it had to be made.
    pub(super) fn snapshot(&mut self, format: Format, subject: &Subject<'_>) -> (EncodedSnapshot, bool) {
        let document = subject.document;
        if let Some(made) = self.snapshots.get(&format).filter(|s| document.knows_since(s.version)) {
            let most = SNAPSHOT_REUSE_COUNTERS.max(document.counters() / SNAPSHOT_REUSE_SHARE);
            if document.changed_since(made.version).nth(most).is_none() {
                return (made.clone(), false);
            }
        }
        let totals: Vec<_> = document.totals().cloned().collect();
        let bytes = match format {
            Format::Events => {
                // A topic with a version and without counters was forgotten.
                let is_gone = totals.is_empty() && document.version().number > 0;
                subject.event(if is_gone { "gone" } else { "snapshot" }, totals)
            }
            Format::Frames => {
                let parts = snapshot_parts(subject.name, document.version(), totals, PIECE_BYTES);
                frames(parts.into_iter().map(FromBroadcast::Snapshot))
            }
        };
        let snapshot = EncodedSnapshot { version: document.version(), bytes };
        self.snapshots.insert(format, snapshot.clone());
        (snapshot, true)
    }

    /// Whether the shell has a copy of this topic's snapshot.
    pub(super) fn shares_snapshot(&self) -> bool {
        self.snapshots.contains_key(&Format::Events)
    }

    /// Drops all encodings, because the document begins anew. Returns whether the shell's copy has to be
    /// dropped.
    pub(super) fn forget_snapshots(&mut self) -> bool {
        let shared = self.shares_snapshot();
        self.snapshots.clear();
        shared
    }
}

fn encode_changes(form: Form, subject: &Subject<'_>, base: Version) -> Option<Bytes> {
    let changed = || subject.document.changed_since(base).cloned();
    match form {
        Form::Datagram => {
            let totals: Vec<_> = changed().take(DATAGRAM_BYTES / TOTAL_BYTES_MIN).collect();
            let bytes = codec::encode(&subject.changes(totals)).ok()?;
            (bytes.len() <= DATAGRAM_BYTES).then(|| bytes.into())
        }
        Form::Stream(Format::Events) => Some(subject.event("update", changed().collect())),
        Form::Stream(Format::Frames) => {
            let version = subject.document.version();
            let parts = snapshot_parts(subject.name, version, changed().collect(), PIECE_BYTES);
            Some(frames(parts.into_iter().map(|p| FromBroadcast::Changes(subject.changes(p.totals)))))
        }
    }
}
