//! A viewer over QUIC that keeps the rules of `wire::viewer`.

use super::{House, name, soon, topic};
use countree_common::cluster::NodeName;
use countree_common::document::{CounterTotal, Version};
use countree_common::key::Topic;
use countree_common::shell::identity::anonymous_tls;
use countree_common::shell::peers::Peers;
use countree_common::shell::quic::{self, FrameReceiver, FrameSender, Profile};
use countree_common::wire::frame::FrameKind;
use countree_common::wire::hello::Conversation;
use countree_common::wire::publish::SnapshotAssembly;
use countree_common::wire::viewer::{Changes, FromBroadcast, ToBroadcast, decode_datagram};
use std::collections::HashMap;
use std::sync::Arc;

pub(crate) struct Viewer {
    pub(crate) connection: quinn::Connection,
    sender: FrameSender,
    receiver: FrameReceiver,
    assembly: SnapshotAssembly,
    handles: HashMap<u32, Topic>,
    totals: HashMap<(Topic, String), (Version, i64)>,
    pub(crate) datagrams: usize,
    pub(crate) moved: Option<String>,
    pub(crate) away: Option<Vec<NodeName>>,
    ended: bool,
}

impl Viewer {
    pub(crate) async fn connect(house: &House) -> Self {
        Self::connect_with(house, quic_config(house)).await
    }

    /// Connects a viewer whose stream takes `window` bytes until they are read.
    pub(crate) async fn with_window(house: &House, window: u32) -> Self {
        let mut transport = quinn::TransportConfig::default();
        transport.stream_receive_window(window.into());
        let mut config = quic_config(house);
        config.transport_config(Arc::new(transport));
        Self::connect_with(house, config).await
    }

    async fn connect_with(house: &House, config: quinn::ClientConfig) -> Self {
        let endpoint = quic::endpoint("127.0.0.1:0".parse().unwrap(), None).unwrap();
        let peers = Peers::new(endpoint, config, name("test"), None, None);
        let opening = peers.open("broadcast-0", house.quic(), Conversation::Watch);
        let (sender, receiver, connection) = soon("a connection", opening).await.unwrap();
        let (assembly, handles, totals) = Default::default();
        Self {
            connection,
            sender,
            receiver,
            assembly,
            handles,
            totals,
            datagrams: 0,
            moved: None,
            away: None,
            ended: false,
        }
    }

    pub(crate) async fn watch(&mut self, topics: &[&str]) {
        let topics = topics.iter().map(|t| topic(t)).collect();
        self.sender.send(FrameKind::Message, &ToBroadcast::Subscribe(topics)).await.unwrap();
    }

    /// Asks for the leaves that are away.
    pub(crate) async fn ask_away(&mut self) {
        self.sender.send(FrameKind::Message, &ToBroadcast::Away).await.unwrap();
    }

    pub(crate) fn total(&self, of: &str, item: &str, kind: &str) -> Option<i64> {
        self.totals.get(&(topic(of), format!("{item} {kind}"))).map(|(_, total)| *total)
    }

    /// Reads messages until `done`.
    pub(crate) async fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        soon(what, async {
            while !done(self) {
                self.take_one().await;
            }
        })
        .await;
    }

    pub(crate) async fn until_moved(&mut self) -> String {
        self.until("the farewell", |v| v.ended).await;
        self.moved.clone().unwrap()
    }

    async fn take_one(&mut self) {
        tokio::select! {
            bytes = self.connection.read_datagram() => {
                self.datagrams += 1;
                for Changes { handle, version, totals, .. } in decode_datagram(&bytes.unwrap()).unwrap() {
                    self.take(self.handles[&handle].clone(), version, totals);
                }
            }
            message = self.receiver.message() => match message.unwrap() {
                Some(FromBroadcast::Subscribed { topic, handle }) => {
                    self.handles.insert(handle, topic);
                }
                Some(FromBroadcast::Snapshot(part)) => {
                    if let Some(snapshot) = self.assembly.push(part) {
                        self.take(snapshot.topic, snapshot.version, snapshot.totals);
                    }
                }
                Some(FromBroadcast::Changes(Changes { handle, version, totals, .. })) => {
                    self.take(self.handles[&handle].clone(), version, totals);
                }
                Some(FromBroadcast::Move { reason, .. }) => self.moved = Some(reason),
                Some(FromBroadcast::Away(names)) => self.away = Some(names),
                None => self.ended = true,
            }
        }
    }

    fn take(&mut self, topic: Topic, version: Version, totals: Vec<CounterTotal>) {
        for CounterTotal { item, kind, total } in totals {
            let held = self.totals.entry((topic.clone(), format!("{item} {kind}"))).or_default();
            if version >= held.0 {
                *held = (version, total);
            }
        }
    }
}

fn quic_config(house: &House) -> quinn::ClientConfig {
    quic::client_config(anonymous_tls(&house.ca).unwrap(), Profile::Fanout).unwrap()
}
