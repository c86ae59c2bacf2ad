//! State that the tasks of one run share, and their messages to people.

use crate::arguments::Allowed;
use crate::clock::now;
use crate::cluster::process::Act;
use crate::exact::clients::acks::Acks;
use crate::exact::events::catalogue::EventCatalogue;
use crate::load::latency::AckLatency;
use countree_common::shell::failure::Failure;
use countree_common::shell::shutdown::Shutdown;
use countree_common::time::Time;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Tries of HTTP requests that are kept.
const TRIES: usize = 100_000;
/// Complaints that are kept.
const COMPLAINTS: usize = 50;

/// Counts that several tasks add to.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Times that the ledger could be read while faults happened.
    pub(super) audits: AtomicU64,
    /// Times that it then claimed to balance with fewer events than had been acked before.
    pub(super) short_audits: AtomicU64,
    /// Acked events that lost disks may have taken along.
    pub(super) at_stake: AtomicU64,
}

/// State that the tasks of one run share.
pub(super) struct Run {
    pub(super) catalogue: EventCatalogue,
    pub(super) start: Instant,
    pub(super) acks: Arc<Acks>,
    pub(super) latency: Arc<AckLatency>,
    pub(super) load_over: Shutdown,
    pub(super) timeout: Duration,
    /// Events per second of one sender.
    pub(super) rate: f64,
    pub(super) counts: Counts,
    /// Broken promises.
    pub(super) complaints: Mutex<Vec<String>>,
    /// Facts that are not wrong and should be known.
    pub(super) remarks: Mutex<Vec<String>>,
    pub(super) journal: Mutex<Vec<Entry>>,
    /// Tries of HTTP requests that were not accepted at once.
    pub(super) tries: Mutex<Vec<String>>,
    /// Whether faults take more from the store than logs may still hold. The ledger has to say so.
    pub(super) may_lose: bool,
    /// Whether leaves lose their disks, and with them what they knew of keys.
    pub(super) loses_disks: bool,
    pub(super) is_loud: bool,
}

/// One fault or restart.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) after: Duration,
    pub(super) name: String,
    pub(super) act: Act,
}

impl Run {
    /// The load begins now: `rate` events per second from each sender.
    pub(super) fn new(
        catalogue: EventCatalogue,
        rate: f64,
        timeout: Duration,
        faults: &[Allowed],
        is_loud: bool,
    ) -> Result<Self, Failure> {
        let start = now();
        let loses_disks = faults.contains(&Allowed::Disk);
        Ok(Self {
            catalogue,
            start,
            acks: Arc::new(Acks::new(start)),
            latency: Arc::new(AckLatency::new()?),
            load_over: Shutdown::new(),
            timeout,
            rate,
            counts: Counts::default(),
            complaints: Mutex::default(),
            remarks: Mutex::default(),
            journal: Mutex::default(),
            tries: Mutex::default(),
            may_lose: loses_disks || faults.contains(&Allowed::Restore),
            loses_disks,
            is_loud,
        })
    }

    pub(super) fn complain(&self, text: String) {
        self.say(&text);
        let mut complaints = self.complaints.lock().unwrap_or_else(PoisonError::into_inner);
        if complaints.len() < COMPLAINTS {
            complaints.push(text);
        }
    }

    pub(super) fn remark(&self, text: String) {
        self.say(&text);
        let mut remarks = self.remarks.lock().unwrap_or_else(PoisonError::into_inner);
        if remarks.len() < COMPLAINTS {
            remarks.push(text);
        }
    }

    /// Records the end of one try of an HTTP request, for the report of an error.
    pub(super) fn note_try(&self, began: Duration, text: &str) {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        if tries.len() < TRIES {
            tries.push(format!("{:9.3} to {:9.3} {text}", began.as_secs_f64(), self.after().as_secs_f64()));
        }
    }

    /// Prints a message for people who watch.
    pub(super) fn say(&self, text: &str) {
        if self.is_loud {
            eprintln!("{:8.2} s  {text}", self.after().as_secs_f64());
        }
    }

    pub(super) fn after(&self) -> Duration {
        now().saturating_duration_since(self.start)
    }

    pub(super) fn time(&self) -> Time {
        Time(0) + self.after()
    }

    /// Events that a sender sends at a time, one time each `tick`.
    pub(super) fn handful(&self, tick: Duration) -> u32 {
        ((self.rate * tick.as_secs_f64()).round() as u32).max(1)
    }
}
