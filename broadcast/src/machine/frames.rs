//! Frames to viewers over QUIC.

use super::ids::TopicHandle;
use bytes::Bytes;
use countree_common::key::Topic;
use countree_common::wire::frame::{self, FrameKind};
use countree_common::wire::viewer::FromBroadcast;

/// Encodes the frame that gives a viewer a topic's handle.
pub(super) fn subscribed(topic: &Topic, handle: TopicHandle) -> Bytes {
    frames([FromBroadcast::Subscribed { topic: topic.clone(), handle: handle.0 }])
}

/// Encodes messages to a viewer as frames, one after another.
pub(super) fn frames(messages: impl IntoIterator<Item = FromBroadcast>) -> Bytes {
    let mut out = Vec::new();
    for message in messages {
        // Encoding fails for messages above the codec's limit only; these are cut to a fraction of it.
        out.extend_from_slice(&frame::message(FrameKind::Message, &message).unwrap_or_default());
    }
    out.into()
}
