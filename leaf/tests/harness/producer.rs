//! A producer that speaks the wire protocol by hand.

use super::{Cluster, Leaf, in_time, name};
use countree_common::delta::Delta;
use countree_common::key::Counter;
use countree_common::session::{Seq, SessionId};
use countree_common::shell::identity::anonymous_tls;
use countree_common::shell::peers::Peers;
use countree_common::shell::quic::{self, FrameReceiver, FrameSender, Profile, StreamError};
use countree_common::wire::batch::BatchBuilder;
use countree_common::wire::frame::FrameKind;
use countree_common::wire::hello::Conversation;
use countree_common::wire::producer::{FromLeaf, ToLeaf};

/// An endpoint of nobody in particular, and what it needs to check nodes.
pub fn anonymous(cluster: &Cluster) -> (quinn::Endpoint, quinn::ClientConfig) {
    let tls = anonymous_tls(cluster.authority.certificate_pem()).unwrap();
    let config = quic::client_config(tls, Profile::Bulk).unwrap();
    (quic::endpoint("127.0.0.1:0".parse().unwrap(), None).unwrap(), config)
}

pub struct Producer {
    sender: FrameSender,
    receiver: FrameReceiver,
    connection: quinn::Connection,
}

impl Producer {
    pub async fn connect(cluster: &Cluster, leaf: &Leaf) -> Self {
        Self::converse(cluster, leaf, Conversation::Produce).await
    }

    pub async fn converse(cluster: &Cluster, leaf: &Leaf, conversation: Conversation) -> Self {
        let (endpoint, config) = anonymous(cluster);
        let peers = Peers::new(endpoint, config, name("test"), None, None);
        let opened = in_time(peers.open("leaf-0", leaf.quic, conversation)).await;
        let (sender, receiver, connection) = opened.unwrap();
        Self { sender, receiver, connection }
    }

    pub fn connection(&self) -> &quinn::Connection {
        &self.connection
    }

    pub async fn say(&mut self, message: ToLeaf) {
        self.sender.send(FrameKind::Message, &message).await.unwrap();
    }

    pub async fn open(&mut self, session: u128) {
        self.say(ToLeaf::Open(SessionId(session))).await;
        assert_eq!(self.hear().await, FromLeaf::Opened { session: SessionId(session), last: 0 });
    }

    /// Resumes a session; returns its last batch.
    pub async fn resume(&mut self, session: u128) -> Seq {
        self.say(ToLeaf::Resume(SessionId(session))).await;
        match self.hear().await {
            FromLeaf::Opened { last, .. } => last,
            other => panic!("{other:?}"),
        }
    }

    /// Resumes a session that has ended; returns its last batch.
    pub async fn resume_ended(&mut self, session: u128) -> Seq {
        self.say(ToLeaf::Resume(SessionId(session))).await;
        match self.hear().await {
            FromLeaf::Ended { last, .. } => last,
            other => panic!("{other:?}"),
        }
    }

    /// A batch of one event for `t`, whose name it brings along.
    pub async fn batch(&mut self, seq: Seq, item: &str, delta: i64) {
        self.batch_of(seq, item, delta, 1).await;
    }

    /// A batch of the same event, many times.
    pub async fn batch_of(&mut self, seq: Seq, item: &str, delta: i64, events: u32) {
        let mut batch = BatchBuilder::default();
        batch.reset_names();
        batch.name(&Counter::new("t", item, "like").unwrap());
        (0..events).for_each(|_| batch.event(0, Delta::new(delta).unwrap()));
        self.sender.send_body(FrameKind::Batch, batch.build(seq).into()).await.unwrap();
    }

    pub async fn raw(&mut self, bytes: &'static [u8]) {
        self.sender.send_raw(bytes.into()).await.unwrap();
    }

    pub async fn acked(&mut self, wanted: Seq) {
        loop {
            match self.hear().await {
                FromLeaf::Ack { seq, .. } if seq >= wanted => return,
                FromLeaf::Ack { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The next message that is not a view.
    pub async fn hear(&mut self) -> FromLeaf {
        loop {
            match in_time(self.receiver.message()).await {
                Ok(Some(FromLeaf::View(_))) => {}
                Ok(Some(message)) => return message,
                other => panic!("{other:?}"),
            }
        }
    }

    /// The end of the conversation.
    pub async fn end(&mut self) -> StreamError {
        loop {
            match in_time(self.receiver.next()).await {
                Ok(Some(_)) => {}
                Ok(None) => return StreamError::Ended,
                Err(e) => return e,
            }
        }
    }
}
