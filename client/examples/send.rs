//! Sends a few likes and prints their results: `cargo run -p countree-client --example send [URL]`

use countree_client::{Cluster, Producer, ProducerOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let cluster = Cluster::discover(&url, None).await?;
    let producer = Producer::new(cluster, ProducerOptions::default());
    for comment in ["first", "second", "second"] {
        producer.send("live/show", comment, "like", 1).await?;
    }
    let tally = producer.close().await?;
    println!("{} sent, {} acked", tally.sent, tally.acked);
    Ok(())
}
