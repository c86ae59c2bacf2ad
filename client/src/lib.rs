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
//! An event ends in one of three ways, which [`Producer::flush`] and [`Producer::close`] wait for and the [`Tally`] counts:
//!
//! * **acked**: it is on a leaf's disk, and will be in the total exactly once, whatever crashes;
//! * **rejected**: it is not counted and never will be: the name or total is out of range, or no leaf could be reached
//!   within [`ProducerOptions::give_up`];
//! * **in doubt**: it was sent, and the leaf has not said whether it is counted and never will: it is gone for longer than
//!   `give_up`, or has forgotten the session. The event is counted once or not at all. Sending it again may count it twice.
//!
//! Until then the producer repeats what has no answer, under the same number and to the same leaf, so that a repeat
//! can't count twice. `errors` in the tally has the last reasons.
//!
//! # Cancel safety
//!
//! Dropping the future of [`Producer::send`] takes nothing back: an event whose `send` had found room is sent and counted. One that
//! was still waiting for room is not. Who has to know does not cancel, or reads the tally. [`Producer::flush`] may be
//! dropped and called again. So may [`Viewer::next`]: nothing is lost, the next call returns the newest totals.
//!
//! # Backpressure
//!
//! `send` returns when the event has a place in the queue, not when it is acked. While more than
//! [`ProducerOptions::queued_events`] wait, `send` waits; a leaf that is overloaded says so, is asked again after the time that it
//! names, and what is new waits meanwhile. Viewers are never behind: a slow reader skips values, and nothing queues for it.
//!
//! # Reconnection
//!
//! Both come back by themselves, for as long as they live. A producer goes on in its session with the same leaf, and sends new events to
//! others meanwhile; a viewer goes to another broadcast node, says what it holds, and never shows a total that is older than
//! one it has shown, unless the store itself went back, which begins with a snapshot under another `era`. Where the nodes are is asked every 3 seconds, and every
//! half second while something can't be reached.
//!
//! # Features
//!
//! `shell` (default) has everything above. `load` is for load generators: batches as they are acked, and events with the time at which
//! they were due.

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
