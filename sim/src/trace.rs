//! A digest of all events, which tells two runs apart at their first difference.

use countree_common::time::Time;
use std::fmt::{self, Write};

/// The digest: FNV-1a over the text form of every event.
#[derive(Debug)]
pub(crate) struct Trace {
    digest: u64,
    count: u64,
    is_digested: bool,
    is_printed: bool,
}

impl Trace {
    /// An empty trace. With `is_digested` it takes every event into the digest, which takes a third of a run's time;
    /// with `is_printed` it prints every event on standard error.
    pub(crate) fn new(is_digested: bool, is_printed: bool) -> Self {
        Self { digest: 0xcbf2_9ce4_8422_2325, count: 0, is_digested, is_printed }
    }

    /// Takes one event.
    pub(crate) fn note(&mut self, at: Time, what: &impl fmt::Debug) {
        self.count += 1;
        if self.is_printed {
            eprintln!("{:>12} {what:?}", at.0);
        }
        if self.is_digested {
            // Writing into a digest does not fail.
            let _ = write!(self, "{} {what:?}", at.0);
        }
    }

    /// The digest so far.
    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    /// The number of events so far.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }
}

impl Write for Trace {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Ok(())
    }
}
