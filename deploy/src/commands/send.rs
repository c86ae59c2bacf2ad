//! Runs `countree send`: sends one event and waits for its ack.

use crate::arguments::SendArguments;
use crate::report::Report;
use countree_client::{Producer, ProducerOptions};
use countree_common::delta::Delta;
use countree_common::key::Counter;
use countree_common::shell::failure::{Failure, printable};

pub(super) async fn run(arguments: SendArguments, report: Report) -> Result<(), Failure> {
    let SendArguments { topic, item, kind, delta, cluster } = arguments;
    let delta = Delta::new(delta).map_err(Failure::usage)?;
    let counter = Counter { topic, item, kind };
    let producer = Producer::new(cluster.discover().await?, ProducerOptions::default());
    producer.send_event(&counter, delta).await?;
    let tally = producer.close().await?;
    if tally.acked != 1 {
        let why = tally.errors.last().cloned().unwrap_or_else(|| "no leaf answered".into());
        return Err(Failure::failed(format!("the event was not acked: {why}")));
    }
    let value = serde_json::json!({ "sent": 1, "acked": 1, "durability": "disk" });
    let Counter { topic, item, kind } = counter;
    let [topic, item, kind] = [topic.as_str(), item.as_str(), kind.as_str()].map(printable);
    report.print(&value, || format!("acked: {:+} {kind} for {item} in {topic}", delta.get()));
    Ok(())
}
