//! The leaf tier: takes events, logs them, sums them over windows, and sends the sums to the roots.
//!
//! [`machine`] decides, [`log`] gives the log its form, and [`shell`] moves bytes, files and time.

pub mod log;
pub mod machine;

#[cfg(feature = "shell")]
pub mod shell;

#[cfg(test)]
mod testing;
