//! The messages that travel, and the events of the network.

use super::connection::{ConnectionId, Side};
use bytes::Bytes;
use countree_client::machine::producer::Outgoing;
use countree_common::wire::producer::FromLeaf;
use countree_common::wire::viewer::ToBroadcast;
use countree_common::wire::{publish, rpc, uplink};

/// A message between two processes.
#[derive(Debug, Clone)]
pub(crate) enum Message {
    /// Producer → leaf.
    Produce(Outgoing),
    /// Leaf → producer.
    Produced(FromLeaf),
    /// Leaf → root.
    Uplink(uplink::ToRoot),
    /// Root → leaf.
    Outcomes(uplink::FromRoot),
    /// Broadcast node → root.
    Interest(publish::ToRoot),
    /// Root → broadcast node.
    Totals(publish::FromRoot),
    /// Viewer → broadcast node.
    Watch(ToBroadcast),
    /// Broadcast node → viewer, frames as bytes.
    Stream(Vec<Bytes>),
    /// Broadcast node → viewer, apart from the stream.
    Datagram(Bytes),
    /// Node → root: one question.
    Ask(rpc::Question),
    /// Root → node: its answer, the last thing on the conversation.
    Reply(rpc::Reply),
}

/// An event of the network.
#[derive(Debug, Clone)]
pub(crate) enum Delivery {
    /// An attempt to connect reaches the other side.
    Connect(ConnectionId),
    /// The attempt has succeeded or failed; the opener learns of it.
    ConnectResult { link: ConnectionId, is_accepted: bool },
    /// A message is there.
    Message { link: ConnectionId, to: Side, message: Box<Message> },
    /// A side notices that the connection is gone.
    Lost { link: ConnectionId, side: Side },
    /// The connection has waited too long for a sign of life.
    TimedOut(ConnectionId),
}
