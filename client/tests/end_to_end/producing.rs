use crate::cluster::{FakeCluster, FakeNode, eventually, soon};
use crate::leaf::{Book, SharedBook, produce};
use countree_client::{AckedBatch, ClientError, Cluster, Producer, ProducerOptions, Tally};
use countree_common::cluster::Tier;
use countree_common::delta::Delta;
use countree_common::key::Counter;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn start_leaf(cluster: &FakeCluster, name: &str, book: &SharedBook) -> FakeNode {
    let book = book.clone();
    cluster.start_node(name, Tier::Leaf, move |greeted| produce(greeted, book.clone()))
}

fn books<const N: usize>() -> [SharedBook; N] {
    std::array::from_fn(|_| Arc::new(Mutex::new(Book::default())))
}

fn totals(books: &[SharedBook]) -> BTreeMap<Counter, i64> {
    let mut totals = BTreeMap::new();
    for book in books {
        for (counter, total) in &book.lock().unwrap().totals {
            *totals.entry(counter.clone()).or_default() += total;
        }
    }
    totals
}

fn counter(n: usize) -> Counter {
    Counter::new("live", &format!("comment-{}", n % 40), "like").unwrap()
}

fn small_batches() -> ProducerOptions {
    let linger = Duration::from_millis(1);
    let mut options = ProducerOptions::default();
    (options.linger, options.batch_events, options.in_flight_batches) = (linger, 20, 8);
    options
}

/// Sends events `range` and adds them to what the totals should be.
async fn send(producer: &Producer, range: std::ops::Range<usize>, expected: &mut BTreeMap<Counter, i64>) {
    for n in range {
        let delta = n as i64 % 5 - 2;
        let delta = if delta == 0 { 1_000_000_000_000 } else { delta };
        soon(producer.send_event(&counter(n), Delta::new(delta).unwrap())).await.unwrap();
        *expected.entry(counter(n)).or_default() += delta;
    }
}

fn assert_all_acked(tally: &Tally, events: u64) {
    assert_eq!((tally.sent, tally.acked), (events, events), "{tally:?}");
    assert_eq!((tally.rejected, tally.in_doubt), (0, 0), "{tally:?}");
}

#[tokio::test]
async fn lost_acks_and_broken_connections_lose_and_double_nothing() {
    let cluster = FakeCluster::start().await;
    let books = books::<2>();
    let _leaves =
        ["leaf-0", "leaf-1"].iter().zip(&books).map(|(n, b)| start_leaf(&cluster, n, b)).collect::<Vec<_>>();
    books.iter().for_each(|book| book.lock().unwrap().break_every = Some(7));
    let measured = Arc::new(Mutex::new(0));
    let on_ack = {
        let measured = measured.clone();
        move |batch: AckedBatch| {
            assert!(batch.first_queued <= batch.acked);
            *measured.lock().unwrap() += batch.events;
        }
    };
    let mut options = small_batches();
    options.queued_events = 500;
    let producer = Producer::with_ack_listener(cluster.discover().await, options, Arc::new(on_ack));
    let mut expected = BTreeMap::new();
    send(&producer, 0..2_000, &mut expected).await;
    let tally = soon(producer.flush()).await.unwrap();
    assert_all_acked(&tally, 2_000);
    assert_eq!(*measured.lock().unwrap(), 2_000);
    assert_eq!(totals(&books), expected);
    assert!(books.iter().all(|book| book.lock().unwrap().breaks > 3));
    soon(producer.close()).await.unwrap();
}

#[tokio::test]
async fn a_leaf_that_comes_back_elsewhere_settles_its_batches() {
    let cluster = FakeCluster::start().await;
    let books = books::<1>();
    let leaf = start_leaf(&cluster, "leaf-0", &books[0]);
    books[0].lock().unwrap().is_silent = true;
    let producer = Producer::new(cluster.discover().await, small_batches());
    let mut expected = BTreeMap::new();
    send(&producer, 0..100, &mut expected).await;
    eventually("batches are counted and not acked", || books[0].lock().unwrap().events > 20).await;
    leaf.kill();
    books[0].lock().unwrap().is_silent = false;
    send(&producer, 100..200, &mut expected).await;
    let _leaf = start_leaf(&cluster, "leaf-0", &books[0]);
    let tally = soon(producer.flush()).await.unwrap();
    assert_all_acked(&tally, 200);
    assert_eq!(totals(&books), expected);
}

#[tokio::test]
async fn when_a_leaf_is_gone_new_events_go_on_and_its_batches_end_in_doubt() {
    let cluster = FakeCluster::start().await;
    let books = books::<2>();
    let gone = start_leaf(&cluster, "leaf-0", &books[0]);
    books[0].lock().unwrap().is_silent = true;
    let mut options = small_batches();
    options.give_up = Duration::from_secs(2);
    let client = cluster.discover().await;
    let producer = Producer::new(client.clone(), options);
    let mut expected = BTreeMap::new();
    send(&producer, 0..20, &mut expected).await;
    eventually("the events are counted", || books[0].lock().unwrap().events == 20).await;
    gone.kill();
    cluster.unlist("leaf-0");
    let _leaf = start_leaf(&cluster, "leaf-1", &books[1]);
    eventually("the client knows", || client.view().nodes.iter().all(|n| n.name.as_str() == "leaf-1")).await;
    send(&producer, 20..60, &mut expected).await;
    let tally = soon(producer.flush()).await.unwrap();
    assert_eq!((tally.sent, tally.acked, tally.in_doubt, tally.rejected), (60, 40, 20, 0), "{tally:?}");
    assert!(tally.errors.iter().all(|e| e.contains("leaf-0")), "{tally:?}");
    assert_eq!(totals(&books), expected);
}

#[tokio::test]
async fn copies_of_a_producer_share_everything() {
    let cluster = FakeCluster::start().await;
    let books = books::<1>();
    let _leaf = start_leaf(&cluster, "leaf-0", &books[0]);
    let producer = Producer::new(cluster.discover().await, ProducerOptions::default());
    let tasks = (0..4).map(|_| {
        let producer = producer.clone();
        tokio::spawn(async move {
            let handle = producer.counter(&counter(1)).unwrap();
            for _ in 0..1_000 {
                producer.send_to(&handle, Delta::ONE).await.unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        soon(task).await.unwrap();
    }
    let copy = producer.clone();
    assert_all_acked(&soon(producer.close()).await.unwrap(), 4_000);
    assert_eq!(copy.send_event(&counter(1), Delta::ONE).await, Err(ClientError::Closed));
    assert_eq!(totals(&books)[&counter(1)], 4_000);
}

#[tokio::test]
async fn a_client_that_is_not_let_in_is_told() {
    let cluster = FakeCluster::start().await;
    let _leaf = start_leaf(&cluster, "leaf-0", &books::<1>()[0]);
    let stranger = Cluster::discover(&cluster.url, None).await.unwrap();
    let producer = Producer::new(stranger, ProducerOptions::default());
    producer.send_event(&counter(1), Delta::ONE).await.unwrap();
    assert!(matches!(soon(producer.flush()).await, Err(ClientError::Unauthorized(_))));
    assert!(matches!(producer.send_event(&counter(1), Delta::ONE).await, Err(ClientError::Unauthorized(_))));
    let tally = producer.tally();
    assert_eq!((tally.sent, tally.rejected + tally.in_doubt), (1, 1), "{tally:?}");
}

#[tokio::test]
async fn where_no_cluster_is_one_is_told_so() {
    let error = soon(Cluster::discover("http://127.0.0.1:1", None)).await.unwrap_err().to_string();
    assert!(error.contains("no cluster answers"), "{error}");
    let error = Cluster::discover("localhost", None).await.unwrap_err();
    assert!(matches!(error, ClientError::Url(_)), "{error}");
}
