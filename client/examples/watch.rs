//! Prints a topic's totals as they change: `cargo run -p countree-client --example watch [URL] [TOPIC]`

use countree_client::{Cluster, Topic, Viewer};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".into());
    let topic = Topic::new(&arguments.next().unwrap_or_else(|| "live/show".into()))?;
    let mut viewer = Viewer::watch(Cluster::discover(&url, None).await?, vec![topic]);
    while let Some(view) = viewer.next().await {
        println!("{}", serde_json::to_string(&view?)?);
    }
    Ok(())
}
