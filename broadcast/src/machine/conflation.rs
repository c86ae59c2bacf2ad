//! The tick: each viewer gets the newest totals of what changed, in at most one datagram and one stretch of
//! its stream. Who has no room stays dirty and later gets what is newest then.

use super::away::Away;
use super::encoding::{self, Encoded, Subject};
use super::sources::Roots;
use super::topics::{Handle, TopicState};
use super::viewers::{Format, Subscription, Viewer, ViewerId};
use super::{Machine, Output, Stats};
use bytes::Bytes;
use countree_common::limits::DATAGRAM_BYTES;
use countree_common::time::Time;
use std::time::Duration;

/// A topic is quiet once it has not changed for this long: its viewers then get its totals for certain.
pub const QUIET: Duration = Duration::from_millis(400);
/// While a topic is busy, each viewer gets its totals for certain about this often.
pub const CATCH_UP: Duration = Duration::from_secs(1);
/// Bytes that one viewer is given on its stream at once; the rest waits for the next tick. One snapshot
/// is never split.
const STREAM_BYTES_PER_TURN: usize = 1 << 20;

/// What a viewer's connection has room for right now, as the shell sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// For a datagram.
    pub datagram: DatagramRoom,
    /// Whether the stream takes more: what it was given last is on its way.
    pub stream: bool,
}

impl Room {
    /// For nothing at all.
    pub const NONE: Self = Self { datagram: DatagramRoom::Waiting, stream: false };
}

/// Room for a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatagramRoom {
    /// This viewer never takes any: everything goes on the stream.
    Never,
    /// The last one still waits.
    Waiting,
    /// Of this many bytes.
    Bytes(usize),
}

/// What one viewer is about to be sent.
struct Parcel {
    datagram: Vec<Bytes>,
    /// Bytes left in the datagram.
    datagram_room: usize,
    takes_datagrams: bool,
    stream: Vec<Bytes>,
    /// Bytes left on the stream; 0 while it is not ready.
    stream_room: usize,
}

impl Parcel {
    fn new(room: Room) -> Self {
        let datagram_room = match room.datagram {
            DatagramRoom::Bytes(bytes) => bytes.min(DATAGRAM_BYTES),
            DatagramRoom::Never | DatagramRoom::Waiting => 0,
        };
        Self {
            datagram: Vec::new(),
            datagram_room,
            takes_datagrams: room.datagram != DatagramRoom::Never,
            stream: Vec::new(),
            stream_room: if room.stream { STREAM_BYTES_PER_TURN } else { 0 },
        }
    }

    fn put_datagram(&mut self, part: &Bytes) -> bool {
        let fits = part.len() <= self.datagram_room;
        if fits {
            self.datagram_room -= part.len();
            self.datagram.push(part.clone());
        }
        fits
    }

    /// Tells a viewer that the node is leaving, if it is and the viewer does not know; false when that has to wait.
    fn put_farewell(&mut self, farewell: Option<&Bytes>, viewer: &mut Viewer) -> bool {
        if let Some(farewell) = farewell
            && !viewer.knows_farewell
        {
            if !self.stream_open() {
                return false;
            }
            viewer.knows_farewell = true;
            self.put_stream(farewell.clone());
        }
        true
    }

    /// Tells a viewer who is away, if it wants to know and does not; false when that has to wait.
    fn put_away(&mut self, away: &Away, viewer: &mut Viewer) -> bool {
        if viewer.wants_away && viewer.told_away != Some(away.id) {
            if !self.stream_open() {
                return false;
            }
            viewer.told_away = Some(away.id);
            self.put_stream(away.frame.clone());
        }
        true
    }

    fn stream_open(&self) -> bool {
        self.stream_room > 0
    }

    fn put_stream(&mut self, bytes: Bytes) {
        self.stream_room = self.stream_room.saturating_sub(bytes.len());
        self.stream.push(bytes);
    }
}

/// What became of a dirty topic of one viewer.
enum Delivery {
    Done,
    /// No room: it stays dirty.
    Later,
    /// What is held here may be of an era before the one that the viewer has.
    Doubtful,
}

/// What a delivery reads and writes besides its viewer and topic.
struct Turn<'a> {
    roots: &'a Roots,
    away: &'a Away,
    stats: &'a mut Stats,
    outputs: &'a mut std::collections::VecDeque<Output>,
    unsettled: &'a mut std::collections::BTreeSet<Handle>,
    tick: u64,
    now: Time,
}

impl Machine {
    /// Sends every viewer what changed for it since the last tick, as far as `room` has it.
    pub fn handle_tick(&mut self, now: Time, mut room: impl FnMut(ViewerId) -> Room) {
        self.tick += 1;
        self.tend_roots(now);
        self.tend_checks(now);
        for handle in std::mem::take(&mut self.changed) {
            if let Some(topic) = self.topics.get_mut(handle) {
                topic.changed = false;
            }
            self.mark_viewers(handle, |_| true);
        }
        self.settle(now);
        for viewer in std::mem::take(&mut self.waiting) {
            self.serve(viewer, now, room(viewer));
        }
    }

    /// Serves those who have just subscribed, or whose topic's first snapshot has just come, without
    /// waiting for the tick.
    pub fn handle_arrivals(&mut self, now: Time, mut room: impl FnMut(ViewerId) -> Room) {
        for viewer in std::mem::take(&mut self.arrivals) {
            self.serve(viewer, now, room(viewer));
        }
    }

    /// Marks those who may have lost the last datagram of a topic that has gone quiet.
    fn settle(&mut self, now: Time) {
        let topics = &self.topics;
        let quiet = |h: &Handle| topics.get(*h).is_none_or(|t| now.since(t.changed_at) >= QUIET);
        let settled: Vec<Handle> = self.unsettled.iter().copied().filter(quiet).collect();
        for handle in settled {
            self.unsettled.remove(&handle);
            let Some(topic) = self.topics.get_mut(handle) else { continue };
            topic.unsettled = false;
            let Some(version) = topic.document.as_ref().map(|d| d.version()) else { continue };
            self.mark_viewers(handle, |s| s.reliable != Some(version));
        }
    }

    fn mark_viewers(&mut self, handle: Handle, which: impl Fn(&Subscription) -> bool) {
        let Some(topic) = self.topics.get(handle) else { return };
        for id in &topic.viewers {
            let Some(viewer) = self.viewers.get_mut(id) else { continue };
            if viewer.subscription(handle).is_some_and(|s| which(s)) {
                viewer.mark(handle);
                if !std::mem::replace(&mut viewer.in_line, true) {
                    self.waiting.push(*id);
                }
            }
        }
    }

    /// The topic's viewers have waited for this, or hold what is void now: they are served at once.
    pub(super) fn hurry(&mut self, handle: Handle) {
        self.hurry_those(handle, |_| true);
    }

    /// [`Machine::hurry`], of those of them.
    pub(super) fn hurry_those(&mut self, handle: Handle, which: impl Fn(&Subscription) -> bool) {
        self.mark_viewers(handle, which);
        self.arrivals.append(&mut self.waiting);
    }

    fn serve(&mut self, id: ViewerId, now: Time, room: Room) {
        let Some(viewer) = self.viewers.get_mut(&id) else { return };
        viewer.in_line = false;
        let mut parcel = Parcel::new(room);
        let mut turn = Turn {
            roots: &self.roots,
            away: &self.away,
            stats: &mut self.stats,
            outputs: &mut self.outputs,
            unsettled: &mut self.unsettled,
            tick: self.tick,
            now,
        };
        let format = viewer.format;
        let mut skipped = !parcel.put_farewell(self.farewell.as_ref(), viewer);
        skipped |= !parcel.put_away(&self.away, viewer);
        let mut doubtful = Vec::new();
        for handle in viewer.take_dirty() {
            let Some(topic) = self.topics.get_mut(handle) else { continue };
            let Some(subscription) = viewer.subscription(handle) else { continue };
            match deliver(&mut turn, &mut parcel, format, subscription, handle, topic) {
                Delivery::Done => {}
                Delivery::Later => {
                    viewer.mark(handle);
                    skipped = true;
                }
                Delivery::Doubtful => doubtful.push(handle),
            }
        }
        if skipped {
            self.stats.skips += 1;
            viewer.in_line = true;
            self.waiting.push(id);
        }
        self.dispatch(id, parcel);
        doubtful.into_iter().for_each(|handle| self.check(handle));
    }

    fn dispatch(&mut self, viewer: ViewerId, parcel: Parcel) {
        if !parcel.stream.is_empty() {
            self.stats.streams += 1;
            self.stats.bytes += parcel.stream.iter().map(|b| b.len() as u64).sum::<u64>();
            self.outputs.push_back(Output::Stream { viewer, chunks: parcel.stream });
        }
        if !parcel.datagram.is_empty() {
            let bytes = self.packed.pack(parcel.datagram);
            self.stats.datagrams += 1;
            self.stats.bytes += bytes.len() as u64;
            self.outputs.push_back(Output::Datagram { viewer, bytes });
        }
    }
}

/// Puts what the viewer lacks of one topic into its parcel.
fn deliver(
    turn: &mut Turn<'_>,
    parcel: &mut Parcel,
    format: Format,
    subscription: &mut Subscription,
    handle: Handle,
    topic: &mut TopicState,
) -> Delivery {
    if !subscription.announced && format == Format::Frames {
        if !parcel.stream_open() {
            return Delivery::Later;
        }
        parcel.put_stream(encoding::subscribed(&topic.name, handle));
        subscription.announced = true;
    }
    // Its first snapshot makes it dirty again.
    let Some(document) = &topic.document else { return Delivery::Done };
    let (version, now) = (document.version(), turn.now);
    if !subscription.may_be_sent(version, topic.confirmed) {
        return Delivery::Doubtful;
    }
    let (name, sources) = (&topic.name, &topic.sources);
    let (roots, away, tick) = (turn.roots, turn.away, turn.tick);
    let subject = Subject { handle, name, document, sources, roots, away, tick, now };

    if !subscription.sent.is_some_and(|sent| document.knows_since(sent)) {
        if !parcel.stream_open() {
            return Delivery::Later;
        }
        let (snapshot, made) = topic.encodings.snapshot(format, &subject);
        if made && format == Format::Events {
            let (topic, event) = (topic.name.clone(), snapshot.bytes.clone());
            let (version, away) = (snapshot.version, away.id);
            turn.outputs.push_back(Output::Share { topic, version, away, event });
        }
        parcel.put_stream(snapshot.bytes);
        subscription.announced = true;
        // No snapshot outlasts a change of who is away.
        subscription.told_away = Some(away.id);
        subscription.stands_at(snapshot.version, now);
        turn.stats.deliveries += 1;
    }
    let (Some(sent), Some(reliable)) = (subscription.sent, subscription.reliable) else {
        return Delivery::Done;
    };
    // Who comes back is told that it has the newest, too.
    let knows_away = format == Format::Frames || subscription.told_away == Some(away.id);
    if reliable == version && subscription.announced && knows_away {
        return Delivery::Done;
    }

    let quiet = now.since(topic.changed_at) >= QUIET;
    let due = quiet || now.since(subscription.reliable_at) >= CATCH_UP || !parcel.takes_datagrams;
    // A stretch of stream that was just begun takes the rest along.
    if !due && sent < version && parcel.stream.is_empty() {
        let changes = topic.encodings.datagram(&subject, sent);
        if changes.bytes.as_ref().is_some_and(|bytes| parcel.put_datagram(bytes)) {
            subscription.sent = Some(version);
            topic.unsettled = true;
            turn.unsettled.insert(handle);
            return delivered(turn.stats, &changes);
        }
    }
    if !due && sent == version && knows_away {
        return Delivery::Done;
    }
    if !parcel.stream_open() {
        return Delivery::Later;
    }
    let changes = topic.encodings.stream(format, &subject, reliable);
    if let Some(bytes) = &changes.bytes {
        parcel.put_stream(bytes.clone());
        subscription.announced = true;
        subscription.told_away = Some(away.id);
        subscription.stands_at(version, now);
    }
    // A settled value repeats what was delivered before: its age says nothing.
    if sent == version { Delivery::Done } else { delivered(turn.stats, &changes) }
}

fn delivered(stats: &mut Stats, changes: &Encoded) -> Delivery {
    let micros = u64::try_from(changes.age.as_micros()).unwrap_or(u64::MAX);
    stats.deliveries += 1;
    stats.staleness_us = stats.staleness_us.saturating_add(micros);
    stats.staleness_max_us = stats.staleness_max_us.max(micros);
    Delivery::Done
}

/// The datagram put together last: viewers of the same topics share it.
#[derive(Debug, Default)]
pub(super) struct Packed {
    parts: Vec<Bytes>,
    whole: Bytes,
}

impl Packed {
    fn pack(&mut self, parts: Vec<Bytes>) -> Bytes {
        if let [one] = parts.as_slice() {
            return one.clone();
        }
        let same = |(a, b): (&Bytes, &Bytes)| std::ptr::eq(a.as_ptr(), b.as_ptr()) && a.len() == b.len();
        // Parts that are the same memory are the same bytes: `self.parts` keeps that memory alive.
        if self.parts.len() != parts.len() || !self.parts.iter().zip(&parts).all(same) {
            self.whole = parts.concat().into();
            self.parts = parts;
        }
        self.whole.clone()
    }
}

#[cfg(test)]
#[path = "conflation_tests.rs"]
mod tests;
