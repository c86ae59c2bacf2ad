//! Sends a few likes and says what became of them: `cargo run -p countree-client --example send [URL]`

use countree_client::{Cluster, Producer, ProducerOptions};
use countree_common::delta::Delta;
use countree_common::key::Counter;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:8080".into());
    let cluster = Cluster::discover(&url, None).await?;
    let producer = Producer::new(cluster, ProducerOptions::default());
    for comment in ["first", "second", "second"] {
        producer.send(&Counter::new("live/show", comment, "like")?, Delta::ONE).await?;
    }
    let tally = producer.close().await?;
    println!("{} sent, {} acked", tally.sent, tally.acked);
    Ok(())
}
