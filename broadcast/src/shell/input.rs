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
pub(super) enum Input {
    /// A conversation with a root has begun.
    RootConnected { root: NodeName, link: u64, outbox: mpsc::Sender<ToRoot> },
    /// It is over.
    RootLost { root: NodeName, link: u64 },
    /// A message from a root.
    FromRoot { root: NodeName, link: u64, message: FromRoot },
    /// A viewer came.
    Joined { viewer: ViewerId, format: Format, sink: ViewerSink },
    /// A viewer went.
    Left(ViewerId),
    /// A message from a viewer over QUIC.
    Viewer { viewer: ViewerId, message: ToBroadcast },
    /// A viewer over HTTP subscribes to this topic; `since` is what it has of it.
    Subscribe { viewer: ViewerId, topic: Topic, since: Since },
    /// The answer to a check; `None` when no root could read the topic.
    Checked { check: CheckId, snapshot: Option<Snapshot> },
    /// These leaves are away, and no others.
    Away(Vec<NodeName>),
    /// The node is leaving: viewers go to these within this time.
    Leaving { alternates: Vec<(NodeName, SocketAddr)>, within: Duration },
}
