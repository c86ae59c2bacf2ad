//! The client library: send events to a Countree cluster, and watch its totals.
//!
//! ```no_run
//! use countree_client::{Cluster, Producer, ProducerOptions, Topic, Viewer};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = Cluster::discover("127.0.0.1:8080", None).await?;
//! let producer = Producer::new(cluster.clone(), ProducerOptions::default());
//! producer.send("live", "comment-1", "like", 1).await?;
//! println!("{} acked", producer.flush().await?.acked);
//! println!("{:?}", cluster.get("live").await?);
//!
//! let mut viewer = Viewer::watch(cluster, vec![Topic::new("live")?]);
//! while let Some(view) = viewer.next().await {
//!     let view = view?;
//!     println!("{} {:?}", if view.is_snapshot { "all:" } else { "changed:" }, view.counts);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Delivery
//!
//! An event ends in one of three ways. [`Producer::flush`] and [`Producer::close`] wait for them, and the
//! [`Tally`] counts them:
//!
//! * **acked**: the event is on a leaf's disk, and will be in the total exactly once, whatever crashes.
//! * **rejected**: the event is not counted, and never will be. Its name or total is out of range, or no leaf
//!   could be reached within [`ProducerOptions::give_up`].
//! * **in doubt**: the event is counted once or not at all. It was sent, and its leaf will never tell: the leaf
//!   has been gone for longer than `give_up`, or has forgotten the session. Sending the event again may count
//!   it twice.
//!
//! Until then the producer repeats unanswered batches under the same number and to the same leaf, so that a
//! repeat can't count twice. `errors` in the tally holds the last reasons.
//!
//! # Cancel safety
//!
//! Dropping the future of [`Producer::send`] takes nothing back. If `send` had found room in the queue, the
//! event is sent and counted; if it was still waiting for room, the event is not. A program that has to know
//! which awaits `send` to its end, or compares the tally. [`Producer::flush`] may be dropped and called
//! again. So may [`Viewer::next`]: nothing is lost, and the next call returns the newest totals.
//!
//! # Backpressure
//!
//! `send` returns when the event has a place in the queue, not when it is acked. While more than
//! [`ProducerOptions::queued_events`] events wait, `send` waits. An overloaded leaf says when to try again,
//! and new events wait in the meantime. Viewers never fall behind: a slow reader skips values, and no updates
//! queue for it.
//!
//! # Reconnection
//!
//! Producers and viewers reconnect by themselves for as long as they live. A producer resumes its session
//! with the same leaf, and sends new events to other leaves in the meantime. A viewer moves to another
//! broadcast node and sends it the versions that it holds. It never shows a total that is older than one it
//! has shown, unless the store itself went back in time; then a snapshot under another `era` comes first. The
//! client looks for moved nodes every 3 seconds, and every half second while one can't be reached.
//!
//! # Features
//!
//! * `shell` (default): everything above.
//! * `load`, for load generators: acks batch by batch, and events with the time at which they were due.

#[doc(hidden)]
pub mod machine;

#[cfg(feature = "shell")]
#[doc(hidden)]
pub mod shell;

pub use countree_common::cluster::NodeName;
pub use countree_common::delta::{Delta, DeltaError};
pub use countree_common::document::{Counts, TopicView};
pub use countree_common::key::{Counter, Item, Kind, NameError, Topic};

#[cfg(all(feature = "shell", feature = "load"))]
pub use shell::{AckedBatch, OnAck};
#[cfg(feature = "shell")]
pub use shell::{ClientError, Cluster, CounterHandle, Producer, ProducerOptions, Tally, Viewer};
