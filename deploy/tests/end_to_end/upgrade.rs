//! Tests upgrades: this build reads a folder of the last release, and talks to its nodes.

use crate::cluster::Cluster;
use crate::waiting::eventually;
use countree_client::Cluster as Found;
use countree_common::cluster::{NodeName, Tier};
use countree_common::session::{Seq, SessionId};
use countree_common::shell::identity::{Authority, anonymous_tls};
use countree_common::shell::peers::Peers;
use countree_common::shell::quic::{self, FrameReceiver, FrameSender, Profile, StreamError};
use countree_common::wire::frame::FrameKind;
use countree_common::wire::hello::{Conversation, Hello, PROTOCOL, RefusalCode};
use countree_common::wire::producer::{FromLeaf, ToLeaf};
use countree_leaf::log::recovery::Recovery;
use countree_leaf::log::segment;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/b0dc694/data.tar.gz");
/// The horizon that the folder was written with.
const MANIFEST: &str = "[leaf]\nreplicas = 2\nhorizon = \"24h\"\n";
/// All of them: the first start took 310 events and a reset of one counter, the second 304.
const EVENTS: i64 = 615;
const LEAVES: [&str; 2] = ["leaf-0", "leaf-1"];

/// A cluster of this build on the folder, and the sessions in its logs.
fn upgraded() -> (Cluster, BTreeMap<(NodeName, SessionId), Seq>) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let unpacked = Command::new("tar").args(["-xzf", FOLDER, "-C", data.to_str().unwrap()]).status().unwrap();
    assert!(unpacked.success());
    let sessions = LEAVES.into_iter().flat_map(|leaf| sessions(&data.join(leaf), leaf)).collect();
    (Cluster::start_under(folder, MANIFEST, Vec::new()), sessions)
}

/// Reads the position of each session from the leaf's logs.
fn sessions(folder: &Path, leaf: &str) -> Vec<((NodeName, SessionId), Seq)> {
    let leaf = NodeName::new(leaf).unwrap();
    let mut recovery = Recovery::new(leaf.clone());
    for stream in 1..=2 {
        recovery.begin_stream();
        recovery.begin_segment();
        let path = folder.join(format!("streams/{stream}/{:020}.log", 1));
        let bytes = std::fs::read(path).unwrap();
        segment::read(&bytes, 1, true, |lsn, record| recovery.record(lsn, &record)).unwrap();
        recovery.end_stream();
    }
    let sessions = recovery.carried.sessions.into_iter();
    sessions.map(|(session, record)| ((leaf.clone(), session), record.last)).collect()
}

fn total(cluster: &Cluster, topic: &str, item: &str, kind: &str) -> Value {
    cluster.tell(&["get", topic])["counts"][item][kind].clone()
}

fn keyed(cluster: &Cluster, key: &str, body: &str) -> u16 {
    cluster.http("POST", "/v1/events", &format!("idempotency-key: {key}\r\n"), body.as_bytes()).0
}

#[test]
fn every_count_of_the_last_release_is_found() {
    let (mut cluster, _) = upgraded();
    let audit = cluster.settled_audit();
    assert_eq!((&audit["accepted"], &audit["declared_lost"]), (&EVENTS.into(), &0.into()), "{audit}");
    for time in ["at first", "after another start"] {
        for item in 0..20 {
            // Events 0 to 199, of delta 1 to 200, went round 20 items and two kinds, at each of two starts.
            let kind = if item % 2 == 0 { "like" } else { "view" };
            let sum: i64 = (0..200).filter(|event| event % 20 == item).map(|event| 2 * (event + 1)).sum();
            assert_eq!(total(&cluster, "live/show", &format!("item-{item}"), kind), sum, "{time}");
        }
        // A delta of 2^53, more than this build takes, once before a reset and once after it.
        let large = cluster.tell(&["get", "large"]);
        assert_eq!(large["counts"]["a"]["x"], 1i64 << 53, "{time}");
        assert_eq!(large["exact"]["a"]["x"], "9007199254740992", "{time}");
        assert_eq!(total(&cluster, "names ☃/%:", "i/%:☃", "k:%"), -14, "{time}");
        assert_eq!(cluster.sum("sessions", "comment"), 200, "{time}");
        cluster.stop();
        cluster.start_again();
    }
    assert_eq!(cluster.settled_audit()["accepted"], EVENTS);
}

#[test]
fn repeats_under_keys_that_the_last_release_took_are_not_counted() {
    let (cluster, _) = upgraded();
    let event = |item: &str, id: &str| format!(r#"{{"topic":"keys","item":"{item}","kind":"like"{id}}}"#);
    let request = format!(r#"[{{"topic":"keys","item":"a","kind":"like","delta":10}},{}]"#, event("b", ""));
    assert_eq!(keyed(&cluster, "request-1", &request), 202);
    let request = r#"[{"topic":"keys","item":"a","kind":"like","delta":100}]"#;
    assert_eq!(keyed(&cluster, "request-2", request), 202);
    for id in 1..=7 {
        let item = if id < 7 { "c" } else { "d" };
        assert_eq!(cluster.post(&event(item, &format!(r#","id":"event-{id}""#))).0, 202, "{id}");
    }
    assert_eq!(cluster.http("DELETE", "/v1/topics/large", "idempotency-key: reset-1\r\n", b"").0, 200);
    for (item, sum) in [("a", 110), ("b", 1), ("c", 6), ("d", 1)] {
        assert_eq!(total(&cluster, "keys", item, "like"), sum, "{item}");
    }
    assert_eq!(total(&cluster, "large", "a", "x"), 1i64 << 53);
    assert_eq!(cluster.settled_audit()["accepted"], EVENTS);
    assert_eq!(
        keyed(&cluster, "request-1", &event("a", "")),
        422,
        "the key is known, and what it was used for"
    );
}

#[test]
fn sessions_of_the_last_release_go_on_where_they_were() {
    let (cluster, sessions) = upgraded();
    assert!(sessions.len() >= 2, "{sessions:?}");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let found = Found::discover(&cluster.url, None).await.unwrap();
        let view = found.view();
        for ((leaf, session), last) in sessions {
            let leaf = view.node(&leaf).unwrap();
            let peers = clients(&found);
            let (mut sender, mut receiver, _connection) =
                peers.open(leaf.name.as_str(), leaf.quic, Conversation::Produce).await.unwrap();
            sender.send(FrameKind::Message, &ToLeaf::Resume(session)).await.unwrap();
            let told = loop {
                match receiver.message::<FromLeaf>().await.unwrap().unwrap() {
                    FromLeaf::View(_) => {}
                    other => break other,
                }
            };
            let is_known = matches!(told, FromLeaf::Opened { last: l, .. } | FromLeaf::Ended { last: l, .. } if l == last);
            assert!(is_known, "{session:?} of {} came to {last}: {told:?}", leaf.name);
        }
    });
}

fn clients(found: &Found) -> Peers {
    let config = quic::client_config(anonymous_tls(&found.info().ca).unwrap(), Profile::Bulk).unwrap();
    let endpoint = quic::endpoint("127.0.0.1:0".parse().unwrap(), None).unwrap();
    Peers::new(endpoint, config, found.name().clone(), None, None)
}

#[test]
fn a_node_of_the_last_release_is_refused_with_words_and_its_clients_are_served() {
    let cluster = Cluster::start();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let found = Found::discover(&cluster.url, None).await.unwrap();
        let view = found.view();
        let name = NodeName::new("leaf-7").unwrap();
        let identity = Authority::open_or_create(&cluster.data().join("tls")).unwrap();
        let identity = identity.identity(&name, Tier::Leaf).unwrap();
        let config = quic::client_config(identity.client_tls().unwrap(), Profile::Bulk).unwrap();
        let endpoint = quic::endpoint("127.0.0.1:0".parse().unwrap(), None).unwrap();
        let peers = Peers::new(endpoint, config, found.name().clone(), Some(name.clone()), None);
        for (tier, conversation) in [
            (Tier::Root, Conversation::Rpc),
            (Tier::Root, Conversation::Uplink),
            (Tier::Root, Conversation::Publish),
            (Tier::Leaf, Conversation::Rpc),
        ] {
            let node = view.tier(tier).next().unwrap();
            let connection = peers.connection(node.name.as_str(), node.quic).await.unwrap();
            let (send, receive) = connection.open_bi().await.unwrap();
            // The first frame of the last release.
            let node = Some(name.clone());
            let hello = Hello { protocol: 1, cluster: found.name().clone(), conversation, node, token: None };
            FrameSender::new(send).send(FrameKind::Hello, &hello).await.unwrap();
            let refused = FrameReceiver::new(receive, 1 << 20).next().await;
            let Err(StreamError::Refused(refusal)) = refused else { panic!("{conversation:?}: {refused:?}") };
            assert_eq!(refusal.code, RefusalCode::Protocol);
            assert!(refusal.message.contains("different releases"), "{refusal:?}");
        }
    });
    assert_eq!(PROTOCOL, 1, "what clients of the last release speak");
    cluster.tell(&["send", "t", "i", "like"]);
    eventually("counted", || (cluster.sum("t", "like") == 1).then_some(()));
}
