//! A broadcast node that follows a test's script.

use countree_common::document::{CounterTotal, Version};
use countree_common::key::{Item, Kind, Topic};
use countree_common::shell::quic::StreamError;
use countree_common::shell::server::Greeted;
use countree_common::time::WallMs;
use countree_common::wire::codec;
use countree_common::wire::frame::FrameKind;
use countree_common::wire::publish::snapshot_parts;
use countree_common::wire::viewer::{Changes, FromBroadcast, ToBroadcast};
use std::sync::{Arc, Mutex};
use tokio::sync::broadcast;

const HANDLE: u32 = 3;

pub(crate) fn totals(of: &[(&str, i64)]) -> Vec<CounterTotal> {
    let kind = Kind::new("like").unwrap();
    of.iter()
        .map(|&(item, total)| CounterTotal { item: Item::new(item).unwrap(), kind: kind.clone(), total })
        .collect()
}

/// A message of the script, sent after the snapshot.
#[derive(Debug, Clone)]
pub(crate) enum Line {
    Datagram(u64, Vec<CounterTotal>),
    Stream(u64, Vec<CounterTotal>),
    Move,
}

/// The node's one topic, and the sender of its further messages.
#[derive(Clone)]
pub(crate) struct Script {
    pub(crate) snapshot: Arc<Mutex<(Version, Vec<CounterTotal>)>>,
    pub(crate) lines: broadcast::Sender<Line>,
    /// The versions that the viewer brought from another conversation.
    pub(crate) resumed: Arc<Mutex<Option<Version>>>,
}

impl Script {
    pub(crate) fn new(number: u64, of: &[(&str, i64)]) -> Self {
        let snapshot = Arc::new(Mutex::new((Version { era: 0, number }, totals(of))));
        Self { snapshot, lines: broadcast::Sender::new(16), resumed: Arc::default() }
    }
}

/// Holds one viewer's conversation.
pub(crate) async fn watch(mut greeted: Greeted, script: Script) -> Result<(), StreamError> {
    let mut lines = script.lines.subscribe();
    let topics = match greeted.receiver.message().await? {
        Some(ToBroadcast::Subscribe(topics)) => topics,
        Some(ToBroadcast::Resume(held)) => {
            *script.resumed.lock().unwrap() = held.first().map(|&(_, version)| version);
            held.into_iter().map(|(topic, _)| topic).collect()
        }
        Some(ToBroadcast::Unsubscribe(_) | ToBroadcast::Away) | None => return Ok(()),
    };
    for topic in topics {
        subscribed(&mut greeted, topic, &script).await?;
    }
    loop {
        tokio::select! {
            line = lines.recv() => match line {
                Ok(line) => say(&mut greeted, line).await?,
                Err(_) => return Ok(()),
            },
            frame = greeted.receiver.next() => if frame?.is_none() { return Ok(()) },
        }
    }
}

async fn subscribed(greeted: &mut Greeted, topic: Topic, script: &Script) -> Result<(), StreamError> {
    let (version, totals) = script.snapshot.lock().unwrap().clone();
    let hello = FromBroadcast::Subscribed { topic: topic.clone(), handle: HANDLE };
    greeted.sender.send(FrameKind::Message, &hello).await?;
    for part in snapshot_parts(&topic, version, totals, 20) {
        greeted.sender.send(FrameKind::Message, &FromBroadcast::Snapshot(part)).await?;
    }
    Ok(())
}

async fn say(greeted: &mut Greeted, line: Line) -> Result<(), StreamError> {
    let changes = |number, totals| {
        let (version, complete_to) = (Version { era: 0, number }, WallMs(number));
        Changes { handle: HANDLE, version, complete_to, totals }
    };
    match line {
        Line::Datagram(number, totals) => {
            let bytes = codec::encode(&changes(number, totals)).unwrap();
            greeted.connection.send_datagram(bytes.into()).unwrap();
            Ok(())
        }
        Line::Stream(number, totals) => {
            let message = FromBroadcast::Changes(changes(number, totals));
            greeted.sender.send(FrameKind::Message, &message).await
        }
        Line::Move => {
            let message = FromBroadcast::Move { reason: "leaving".into(), alternates: vec![], within_ms: 0 };
            greeted.sender.send(FrameKind::Message, &message).await
        }
    }
}
