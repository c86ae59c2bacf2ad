//! Tests a broadcast node that leaves: its viewers continue on another node and notice nothing.

use crate::cluster::Cluster;
use crate::load::{Load, TOPIC};
use crate::shared::command::say;
use crate::shared::viewing::{Seen, follow};
use crate::waiting::eventually;
use countree_client::Cluster as Client;
use countree_common::key::Topic;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Runtime;

const VIEWERS: usize = 20;
/// The longest pause between updates, which come every 100 ms. A viewer that is not notified needs the lease, which
/// is far longer; one that is notified takes far less, except on a machine that is busy with other tests.
const GAP_MAX: Duration = Duration::from_secs(2);

fn sized(broadcasts: u32) -> String {
    format!("[broadcast]\nreplicas = {broadcasts}\n")
}

#[test]
fn viewers_of_a_broadcast_node_that_is_drained_see_no_gap_and_no_number_go_down() {
    let cluster = Cluster::start_with(&sized(1));
    let load = Load::start(&cluster.url);
    let runtime = Runtime::new().unwrap();
    let viewers: Vec<_> = (0..VIEWERS)
        .map(|_| {
            let seen = Arc::new(Mutex::new(Seen::default()));
            let client = runtime.block_on(Client::discover(&cluster.url, None)).unwrap();
            runtime.spawn(follow(client, vec![Topic::new(TOPIC).unwrap()], seen.clone()));
            seen
        })
        .collect();
    let sum = |seen: &Arc<Mutex<Seen>>| seen.lock().unwrap().totals.values().sum::<i64>();
    eventually("all watch at the only node there is", || {
        viewers.iter().all(|seen| sum(seen) > 0).then_some(())
    });

    // They stay where they are when another node comes.
    cluster.apply(&sized(2));
    let drained = cluster.tell(&["drain", "broadcast-0"]);
    assert_eq!(drained["audit"]["balanced"], true, "{drained}");
    let status = cluster.tell(&["status"]);
    let is_gone = status["nodes"].as_array().unwrap().iter().all(|node| node["name"] != "broadcast-0");
    assert!(is_gone, "{status}");

    let sent = load.finish();
    for seen in &viewers {
        eventually("a viewer that moved sees it all", || (sum(seen) == sent).then_some(()));
    }
    let seen: Vec<_> = viewers.iter().map(|seen| seen.lock().unwrap()).collect();
    let gap = seen.iter().map(|seen| seen.longest_gap).max().unwrap_or_default();
    say(&format!("{VIEWERS} viewers moved; the longest gap that one of them saw was {gap:.1?}"));
    assert!(gap < GAP_MAX, "a viewer saw nothing for {gap:?}");
    assert!(seen.iter().all(|seen| seen.went_back.is_empty()), "{:?}", seen[0].went_back);
}
