//! What producers and viewers link: send events to a Countree cluster, and watch its totals.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use countree_client::{Cluster, Producer, ProducerOptions, Viewer};
//! use countree_common::{delta::Delta, key::{Counter, Topic}};
//!
//! let cluster = Cluster::discover("http://127.0.0.1:8080", None).await?;
//! let producer = Producer::new(cluster.clone(), ProducerOptions::default());
//! producer.send(&Counter::new("live", "comment-1", "like")?, Delta::ONE).await?;
//! println!("{:?}", producer.close().await?);
//!
//! let mut viewer = Viewer::watch(cluster, vec![Topic::new("live")?]);
//! while let Some(view) = viewer.next().await {
//!     println!("{:?}", view?.counts);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`machine`] decides everything that exactness depends on; [`shell`] moves bytes and time.

pub mod machine;

#[cfg(feature = "shell")]
pub mod shell;

#[cfg(feature = "shell")]
pub use shell::{
    AckedBatch, ClientError, Cluster, CounterHandle, OnAck, Producer, ProducerOptions, Tally, Viewer,
};
