//! The form of a leaf's log: records, the segments that hold them, and what a replay makes of them.
//!
//! Nothing here touches a file; the shell and the simulator bring the bytes. Every segment can be read by
//! itself: it begins with a [`record::Checkpoint`], and names are written again in each segment that uses them.

pub mod record;
pub mod recovery;
pub mod replay;
pub mod segment;
