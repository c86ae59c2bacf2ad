//! The schedule of faults that a seed draws, by number: any of them can be left out, and the others stay what they are.

use super::kinds::Fault;
use crate::random::Random;
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// Until then the cluster is left to find itself.
const QUIET: Duration = Duration::from_millis(800);

/// A fault to come.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    /// Its place in the schedule.
    pub(crate) number: usize,
    /// The time of the fault, from the beginning.
    pub(crate) after: Duration,
    /// Its kind.
    pub(crate) fault: Fault,
    seed: u64,
}

impl Planned {
    /// Random numbers of its own, which decide on whom and for how long it acts.
    pub(crate) fn random(&self) -> Random {
        Random::new(self.seed)
    }
}

/// Plans faults of these kinds, now rare, now close together, until `chaos` is over.
pub(crate) fn draw(random: &mut Random, kinds: &[Fault], chaos: Duration) -> Vec<Planned> {
    let gap_ms = random.between(50, 600);
    let mut schedule = Vec::new();
    let mut after = QUIET;
    while after < chaos
        && let Some(fault) = random.pick(kinds).copied()
    {
        schedule.push(Planned { number: schedule.len(), after, fault, seed: random.bits() });
        after += random.millis(1, 2 * gap_ms);
    }
    schedule
}

/// The faults of a schedule that are injected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Only {
    /// All of them.
    #[default]
    All,
    /// Those with these numbers.
    These(BTreeSet<usize>),
}

impl Only {
    /// Whether the fault of this number is injected.
    pub fn includes(&self, number: usize) -> bool {
        match self {
            Only::All => true,
            Only::These(numbers) => numbers.contains(&number),
        }
    }
}

/// A fault that had an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InjectedFault {
    /// Its number.
    pub number: usize,
    /// Its kind.
    pub fault: Fault,
    /// Its time, from the beginning.
    pub after: Duration,
}

impl fmt::Display for InjectedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, fault, after } = self;
        write!(f, "fault {number} at {:.3} s: {fault:?}", after.as_secs_f64())
    }
}
