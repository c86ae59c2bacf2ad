//! A real leaf on loopback QUIC and real files.

#![cfg(feature = "shell")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

mod harness;

use countree_common::session::SessionId;
use countree_common::shell::http;
use countree_common::shell::quic::StreamError;
use countree_common::wire::hello::{Conversation, RefusalCode};
use countree_common::wire::producer::{FromLeaf, ToLeaf};
use countree_leaf::shell::{self, LeafOptions, StartError};
use harness::producer::{Producer, anonymous};
use harness::root::total_becomes;
use harness::{Cluster, Leaf, in_time};
use std::sync::Arc;

const EVENT: &str = r#"{"topic":"t","item":"a","kind":"like"}"#;

fn code(body: &[u8]) -> String {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap();
    body["error"]["code"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn batches_are_acked_and_their_sums_merged() {
    let cluster = Cluster::start();
    let leaf = cluster.leaf().await;
    let mut producer = Producer::connect(&cluster, &leaf).await;
    producer.open(7).await;
    for seq in 1..=100 {
        producer.batch(seq, "a", 1).await;
        producer.batch(seq, "a", 1).await;
    }
    producer.acked(100).await;
    total_becomes(&cluster.root, "a", 100).await;
    assert!(cluster.root.cuts() < 100, "sums go up, not events");
    leaf.stop().await;
}

#[tokio::test]
async fn bad_requests_are_refused_and_count_nothing() {
    let cluster = Cluster::start();
    let leaf = cluster.leaf().await;
    let long = "x".repeat(129);
    let event = |field: &str| format!(r#"{{"topic":"t","item":"a","kind":"like",{field}}}"#);
    let too_many = format!("{EVENT}\n").repeat(10_001);
    let bodies = [
        (String::new(), 400, "malformed"),
        ("[]".into(), 400, "malformed"),
        ("null".into(), 400, "malformed"),
        (format!("[{EVENT},"), 400, "malformed"),
        (format!("[{EVENT},{}]", event(r#""delta":0"#)), 400, "bad_delta"),
        (event(r#""delta":1.5"#), 400, "malformed"),
        (event(r#""delta":9007199254740993"#), 400, "bad_delta"),
        (event(r#""colour":1"#), 400, "malformed"),
        (format!("{EVENT}\n{}", event(r#""id":"""#)), 400, "bad_name"),
        (format!(r#"{{"topic":"{long}","item":"a","kind":"like"}}"#), 400, "bad_name"),
        (r#"{"topic":"t","item":"","kind":"like"}"#.into(), 400, "bad_name"),
        (r#"{"topic":"t","item":"a"}"#.into(), 400, "malformed"),
        ("[".repeat(100_000), 400, "malformed"),
        (too_many, 413, "too_large"),
    ];
    for (body, status, expected) in bodies {
        let answer = leaf.post(&[], &body).await;
        let shown = &body[..body.len().min(80)];
        assert_eq!((answer.status, code(&answer.body).as_str()), (status, expected), "{shown}");
    }
    let key = "k".repeat(257);
    assert_eq!(leaf.post(&[("idempotency-key", key.as_str())], EVENT).await.status, 400);
    assert_eq!(leaf.post(&[("idempotency-key", "")], EVENT).await.status, 400);
    let huge = Some(vec![b' '; (4 << 20) + 1]);
    // The answer may be lost, since the leaf does not read the rest.
    if let Ok(answer) = http::request("POST", &leaf.http, "/v1/events", &[], huge).await {
        assert_eq!(answer.status, 413);
    }
    assert_eq!(http::request("GET", &leaf.http, "/v1/events", &[], None).await.unwrap().status, 405);

    let answer = leaf.post(&[], EVENT).await;
    assert_eq!((answer.status, &answer.body[..]), (202, &br#"{"accepted":1,"durability":"disk"}"#[..]));
    total_becomes(&cluster.root, "a", 1).await;
    assert_eq!(cluster.root.counters(), 1);
    leaf.stop().await;
}

#[tokio::test]
async fn a_repeat_under_its_key_counts_once_even_after_a_restart() {
    let cluster = Cluster::start();
    let leaf = cluster.leaf().await;
    let key = [("idempotency-key", "order-1")];
    let with_id = r#"{"topic":"t","item":"b","kind":"like","delta":5,"id":"e-1"}"#;
    for _ in 0..2 {
        assert_eq!(leaf.post(&key, EVENT).await.status, 202);
        assert_eq!(leaf.post(&[], with_id).await.status, 202);
    }
    leaf.stop().await;
    let leaf = cluster.leaf().await;
    assert_eq!(leaf.post(&key, EVENT).await.status, 202);
    assert_eq!(leaf.post(&[], with_id).await.status, 202);
    let reused = leaf.post(&key, with_id).await;
    assert_eq!((reused.status, code(&reused.body).as_str()), (422, "key_reused"));
    assert_eq!(leaf.post(&[("idempotency-key", "order-2")], EVENT).await.status, 202);
    total_becomes(&cluster.root, "a", 2).await;
    leaf.stop().await;
    assert_eq!((cluster.root.total("t", "a"), cluster.root.total("t", "b")), (2, 5));
}

#[tokio::test]
async fn a_killed_leaf_loses_nothing_and_its_sessions_go_on() {
    let cluster = Cluster::start();
    cluster.root.set_merging(false);
    let mut leaf = cluster.leaf().await;
    let mut last = 0;
    for life in 0..3 {
        let mut producer = Producer::connect(&cluster, &leaf).await;
        if life == 0 {
            producer.open(7).await;
        } else {
            let resumed = producer.resume(7).await;
            assert!(resumed >= last, "what was acked is known");
            last = resumed;
        }
        for seq in last + 1..=last + 20 {
            producer.batch(seq, "a", 1).await;
        }
        last += 20;
        producer.acked(last).await;
        // More are on their way when it dies; whether they count, only the next life knows.
        for seq in last + 1..=last + 20 {
            producer.batch(seq, "a", 1).await;
        }
        leaf.kill();
        leaf = cluster.leaf().await;
    }
    let last = Producer::connect(&cluster, &leaf).await.resume(7).await;
    cluster.root.set_merging(true);
    total_becomes(&cluster.root, "a", i64::try_from(last).unwrap()).await;
    leaf.stop().await;
    assert_eq!(cluster.root.total("t", "a"), i64::try_from(last).unwrap());
}

#[tokio::test]
async fn strangers_are_refused_and_the_leaf_goes_on() {
    let cluster = Cluster::start();
    let leaf = cluster.leaf().await;

    let (endpoint, _) = anonymous(&cluster);
    let mut tls =
        countree_common::shell::identity::anonymous_tls(cluster.authority.certificate_pem()).unwrap();
    tls.alpn_protocols = vec![b"smtp".to_vec()];
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
    let config = quinn::ClientConfig::new(Arc::new(crypto));
    let connecting = endpoint.connect_with(config, leaf.quic, "leaf-0").unwrap();
    assert!(in_time(connecting).await.is_err(), "another protocol");

    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for length in [0, 1, 20, 1_200, 9_000] {
        let noise: Vec<u8> = (0..length).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        socket.send_to(&noise, leaf.quic).unwrap();
    }

    let refused = |e: StreamError| match e {
        StreamError::Refused(refusal) => refusal.code,
        other => panic!("{other}"),
    };
    let mut asks = Producer::converse(&cluster, &leaf, Conversation::Rpc).await;
    assert_eq!(refused(asks.end().await), RefusalCode::Unauthorized);
    let mut watches = Producer::converse(&cluster, &leaf, Conversation::Watch).await;
    assert_eq!(refused(watches.end().await), RefusalCode::WrongTier);
    let mut claims = Producer::connect(&cluster, &leaf).await;
    claims.raw(&[0xff, 0xff, 0xff, 0xff, 3]).await;
    assert_eq!(refused(claims.end().await), RefusalCode::Malformed);
    let mut skips = Producer::connect(&cluster, &leaf).await;
    skips.open(1).await;
    skips.batch(2, "a", 1).await;
    assert_eq!(refused(skips.end().await), RefusalCode::Malformed);
    let mut short = Producer::connect(&cluster, &leaf).await;
    short.raw(&[3, 0, 0, 0, 3, 1, 2]).await;
    assert_eq!(refused(short.end().await), RefusalCode::Malformed);

    let connection = claims.connection().clone();
    let (mut send, mut receive) = in_time(connection.open_bi()).await.unwrap();
    send.write_all(&[0xff; 64]).await.unwrap();
    assert!(!in_time(receive.read_to_end(4_096)).await.unwrap().is_empty(), "no greeting at all");

    let mut producer = Producer::connect(&cluster, &leaf).await;
    producer.open(2).await;
    producer.batch(1, "a", 1).await;
    producer.acked(1).await;
    total_becomes(&cluster.root, "a", 1).await;
    leaf.stop().await;
}

#[tokio::test]
async fn a_leaf_does_not_start_on_a_damaged_log() {
    let cluster = Cluster::start();
    let leaf = cluster.leaf().await;
    let mut producer = Producer::connect(&cluster, &leaf).await;
    producer.open(7).await;
    for seq in 1..=10 {
        producer.batch(seq, "a", 1).await;
        producer.acked(seq).await;
    }
    leaf.stop().await;
    let segment = cluster.data().join("streams/1/00000000000000000001.log");
    let whole = std::fs::read(&segment).unwrap();
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 0x10;
    std::fs::write(&segment, &damaged).unwrap();
    let started = Leaf::start(cluster.options("leaf-0")).await;
    let error = started.err().map(|e| e.to_string()).unwrap_or_default();
    assert!(error.contains("damaged") && error.contains("0001.log"), "{error}");
    assert_eq!(std::fs::read(&segment).unwrap(), damaged, "the evidence is left alone");

    std::fs::write(&segment, &whole).unwrap();
    let other = Leaf::start(cluster.options("leaf-1")).await;
    assert!(matches!(other, Err(StartError::Disk(_))), "another leaf's log");

    std::fs::write(&segment, [&whole[..], &[1, 2, 3]].concat()).unwrap();
    let leaf = cluster.leaf().await;
    assert_eq!(Producer::connect(&cluster, &leaf).await.resume_ended(7).await, 10, "a torn write is cut off");
    leaf.stop().await;
    assert_eq!(cluster.root.total("t", "a"), 10);
}

#[tokio::test]
async fn a_leaf_that_leaves_tells_how_its_sessions_ended_and_leaves_nothing_behind() {
    let cluster = Cluster::start();
    let leaf = cluster.leaf().await;
    let mut producer = Producer::connect(&cluster, &leaf).await;
    producer.open(7).await;
    for seq in 1..=10 {
        producer.batch(seq, "a", 1).await;
    }
    producer.acked(10).await;
    leaf.stop().await;
    assert_eq!(producer.hear().await, FromLeaf::Draining);
    assert_eq!(producer.hear().await, FromLeaf::Ended { session: SessionId(7), last: 10 });
    assert_eq!(cluster.root.total("t", "a"), 10);
    let (retired, settled) = cluster.root.farewells();
    assert_eq!(retired.iter().map(|l| l.ledger.merged).collect::<Vec<_>>(), [10]);
    assert_eq!(settled.len(), 1);

    // Its disk is gone, and another leaf has its name.
    let elsewhere = LeafOptions { data: cluster.dir.path().join("other"), ..cluster.options("leaf-0") };
    let leaf = Leaf::start(elsewhere).await.unwrap();
    let mut producer = Producer::connect(&cluster, &leaf).await;
    let (ended, unknown) = (SessionId(7), SessionId(8));
    producer.say(ToLeaf::Resume(ended)).await;
    assert_eq!(producer.hear().await, FromLeaf::Ended { session: ended, last: 10 });
    producer.say(ToLeaf::Resume(unknown)).await;
    assert_eq!(producer.hear().await, FromLeaf::Expired(unknown));
    leaf.stop().await;
}

#[tokio::test]
async fn a_leaf_whose_store_is_down_stops_in_time_and_has_not_settled() {
    let cluster = Cluster::start();
    let leaf = cluster.leaf().await;
    cluster.root.set_merging(false);
    assert_eq!(leaf.post(&[], EVENT).await.status, 202);
    let stopping = std::time::Instant::now();
    leaf.stop().await;
    assert!(stopping.elapsed() < std::time::Duration::from_secs(20));
    assert_eq!(cluster.root.farewells().1, []);
    cluster.root.set_merging(true);
    let leaf = cluster.leaf().await;
    total_becomes(&cluster.root, "a", 1).await;
    leaf.stop().await;
}

#[tokio::test]
async fn a_new_owner_of_keys_asks_the_old_one_and_guesses_nothing_without_it() {
    let cluster = Cluster::start();
    let old = cluster.leaf().await;
    let elsewhere = LeafOptions { data: cluster.dir.path().join("new"), ..cluster.options("leaf-1") };
    let new = Leaf::start(elsewhere).await.unwrap();
    let until = countree_common::shell::clock::wall();
    let epoch = cluster.root.own_keys(&["leaf-0"], &[], until);
    old.sees(epoch).await;
    new.sees(epoch).await;
    let [first, second] = ["order-1", "order-2"].map(|key| [("idempotency-key", key)]);
    assert_eq!(new.post(&first, EVENT).await.status, 202, "passed on");

    // A part of the keys moves, and requests may find either view at either leaf.
    cluster.root.own_keys(&["leaf-0", "leaf-1"], &["leaf-0"], until);
    for _ in 0..2 {
        assert_eq!(new.post(&first, EVENT).await.status, 202);
        assert_eq!(old.post(&first, EVENT).await.status, 202);
        assert_eq!(old.post(&second, EVENT).await.status, 202);
    }
    total_becomes(&cluster.root, "a", 2).await;
    old.kill();
    let epoch = cluster.root.away("leaf-0");
    new.sees(epoch).await;
    let mut answers = Vec::new();
    for order in 3..30 {
        let key = format!("order-{order}");
        let answer = new.post(&[("idempotency-key", key.as_str())], EVENT).await;
        answers.push((answer.status, code(&answer.body)));
    }
    assert!(
        answers.iter().all(|(status, code)| (*status, code.as_str()) == (409, "in_doubt")),
        "{answers:?}"
    );
    new.stop().await;
    assert_eq!(cluster.root.total("t", "a"), 2);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let cluster = Cluster::start();
    let leaf = cluster.leaf().await;
    let mut stalled = tokio::net::TcpStream::connect(leaf.http.trim_start_matches("http://")).await.unwrap();
    let head = "POST /v1/events HTTP/1.1\r\nhost: leaf\r\ncontent-length: 100\r\nconnection: close\r\n\r\n{";
    stalled.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(leaf.post(&[], EVENT).await.status, 202);
    let mut answer = String::new();
    in_time(stalled.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    leaf.stop().await;
    assert_eq!(cluster.root.counters(), 1);
}
