//! Gives a leaf's log its form: records, the segments that hold them, and the replay of what they hold.
//!
//! Nothing here touches a file; the shell and the simulator bring the bytes. Every segment can be read by
//! itself: it begins with a [`record::Checkpoint`], and names are written again in each segment that uses them.

pub mod carried;
pub mod record;
pub mod recovery;
pub mod recut;
pub mod replay;
pub mod segment;
