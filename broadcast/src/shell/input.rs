//! Messages to the core.

use super::sink::ViewerSink;
use crate::machine::{CheckId, Format, Since, ViewerId};
use countree_common::cluster::NodeName;
use countree_common::document::Snapshot;
use countree_common::key::Topic;
use countree_common::wire::publish::{FromRoot, ToRoot};
use countree_common::wire::viewer::ToBroadcast;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::mpsc;

/// A message to the core.
#[derive(Debug)]
pub(super) enum BroadcastInput {
    /// A conversation with a root has begun.
    RootConnected { root: NodeName, link: u64, outbox: mpsc::Sender<ToRoot> },
    /// The conversation has ended.
    RootLost { root: NodeName, link: u64 },
    /// A message from a root.
    FromRoot { root: NodeName, link: u64, message: FromRoot },
    /// A viewer has come.
    Joined { viewer: ViewerId, format: Format, sink: ViewerSink },
    /// A viewer has gone.
    Left(ViewerId),
    /// A message from a viewer over QUIC.
    Viewer { viewer: ViewerId, message: ToBroadcast },
    /// A viewer over HTTP subscribes to this topic; `since` is the version that it has.
    Subscribe { viewer: ViewerId, topic: Topic, since: Since },
    /// The answer to a check; `None` when no root could read the topic.
    Checked { check: CheckId, snapshot: Option<Snapshot> },
    /// The set of leaves that are away has changed.
    Away(Vec<NodeName>),
    /// The node is leaving: viewers move to these nodes within this time.
    Leaving { alternates: Vec<(NodeName, SocketAddr)>, within: Duration },
}
