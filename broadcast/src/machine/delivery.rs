//! Delivery of one topic to one viewer: its first snapshot, then changes as datagrams, and from time to time
//! as stream bytes.

use super::away::Away;
use super::encoding::{Encoded, Subject};
use super::frame_builder::FrameBuilder;
use super::ids::{Format, TopicHandle};
use super::sources::Roots;
use super::topics::TopicState;
use super::viewers::Subscription;
use super::{Output, Stats, frames};
use countree_common::time::Time;
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// A topic is quiet once it has not changed for this long: its viewers then get its totals reliably.
pub const QUIET: Duration = Duration::from_millis(400);
/// Interval at which each viewer gets a busy topic's totals reliably, about.
pub const CATCH_UP: Duration = Duration::from_secs(1);
/// The result of serving one dirty topic to one viewer.
pub(super) enum Delivery {
    Done,
    /// There was no room: the topic stays dirty.
    Later,
    /// The document may be of an older era than the viewer's.
    Doubtful,
}

/// The parts of the machine that a delivery uses besides its viewer and topic.
pub(super) struct DeliveryContext<'a> {
    pub(super) roots: &'a Roots,
    pub(super) away: &'a Away,
    pub(super) stats: &'a mut Stats,
    pub(super) outputs: &'a mut VecDeque<Output>,
    pub(super) unsettled: &'a mut BTreeSet<TopicHandle>,
    pub(super) tick: u64,
    pub(super) now: Time,
}

/// Adds the topic's changes for the viewer to its frame builder.
pub(super) fn deliver(
    ctx: &mut DeliveryContext<'_>,
    builder: &mut FrameBuilder,
    format: Format,
    subscription: &mut Subscription,
    handle: TopicHandle,
    topic: &mut TopicState,
) -> Delivery {
    if !subscription.announced && format == Format::Frames {
        if !builder.stream_open() {
            return Delivery::Later;
        }
        builder.put_stream(frames::subscribed(&topic.name, handle));
        subscription.announced = true;
    }
    // Its first snapshot makes it dirty again.
    let Some(document) = &topic.document else { return Delivery::Done };
    let (version, now) = (document.version(), ctx.now);
    if !subscription.may_be_sent(version, topic.confirmed) {
        return Delivery::Doubtful;
    }
    let (name, sources) = (&topic.name, &topic.sources);
    let (roots, away, tick) = (ctx.roots, ctx.away, ctx.tick);
    let subject = Subject { handle, name, document, sources, roots, away, tick, now };

    if !subscription.sent.is_some_and(|sent| document.knows_since(sent)) {
        if !builder.stream_open() {
            return Delivery::Later;
        }
        let (snapshot, made) = topic.encodings.snapshot(format, &subject);
        if made && format == Format::Events {
            let (topic, event) = (topic.name.clone(), snapshot.bytes.clone());
            let (version, away) = (snapshot.version, away.id);
            ctx.outputs.push_back(Output::Share { topic, version, away, event });
        }
        builder.put_stream(snapshot.bytes);
        subscription.announced = true;
        // A snapshot from before the last change of the leaves that are away is never used again.
        subscription.told_away = Some(away.id);
        subscription.stands_at(snapshot.version, now);
        ctx.stats.deliveries += 1;
    }
    let (Some(sent), Some(reliable)) = (subscription.sent, subscription.reliable) else {
        return Delivery::Done;
    };
    // A viewer that returns also gets an answer when it has the newest totals.
    let knows_away = format == Format::Frames || subscription.told_away == Some(away.id);
    if reliable == version && subscription.announced && knows_away {
        return Delivery::Done;
    }

    let quiet = now.since(topic.changed_at) >= QUIET;
    let due = quiet || now.since(subscription.reliable_at) >= CATCH_UP || !builder.takes_datagrams;
    // A piece of stream that was just begun takes the rest as well.
    if !due && sent < version && builder.stream.is_empty() {
        let changes = topic.encodings.datagram(&subject, sent);
        if changes.bytes.as_ref().is_some_and(|bytes| builder.put_datagram(bytes)) {
            subscription.sent = Some(version);
            topic.unsettled = true;
            ctx.unsettled.insert(handle);
            return delivered(ctx.stats, &changes);
        }
    }
    if !due && sent == version && knows_away {
        return Delivery::Done;
    }
    if !builder.stream_open() {
        return Delivery::Later;
    }
    let changes = topic.encodings.stream(format, &subject, reliable);
    if let Some(bytes) = &changes.bytes {
        builder.put_stream(bytes.clone());
        subscription.announced = true;
        subscription.told_away = Some(away.id);
        subscription.stands_at(version, now);
    }
    // A settled value repeats an earlier delivery, so its age means nothing.
    if sent == version { Delivery::Done } else { delivered(ctx.stats, &changes) }
}

fn delivered(stats: &mut Stats, changes: &Encoded) -> Delivery {
    let micros = u64::try_from(changes.age.as_micros()).unwrap_or(u64::MAX);
    stats.deliveries += 1;
    stats.staleness_us = stats.staleness_us.saturating_add(micros);
    stats.staleness_max_us = stats.staleness_max_us.max(micros);
    Delivery::Done
}
