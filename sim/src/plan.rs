//! What a seed stands for: the size of the cluster, its settings, and what may go wrong in it.

use crate::faults::Fault;
use crate::flaws::Flaw;
use crate::network::Weather;
use crate::random::Random;
use countree_client::machine::producer::Rules;
use std::time::Duration;

/// What all runs of a series have in common.
#[derive(Debug, Clone, Default)]
pub struct Setting {
    /// The rule that this world breaks, if any.
    pub flaw: Option<Flaw>,
    /// Whether runs are not spared what is [known](crate::KNOWN) to go wrong.
    pub with_known: bool,
    /// Whether everything that happens is told on standard error.
    pub is_told: bool,
}

/// One run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Nodes and clients.
    pub(crate) leaves: usize,
    /// See [`Plan::leaves`].
    pub(crate) roots: usize,
    /// See [`Plan::leaves`].
    pub(crate) broadcasts: usize,
    /// See [`Plan::leaves`].
    pub(crate) producers: usize,
    /// See [`Plan::leaves`].
    pub(crate) viewers: usize,
    /// Topics that events are counted in.
    pub(crate) topics: usize,
    /// Events of all producers together.
    pub(crate) events: usize,
    /// For how long things go wrong. Events come throughout.
    pub(crate) chaos: Duration,
    /// The mean time between two faults, in milliseconds.
    pub(crate) fault_gap_ms: u64,
    /// What may go wrong.
    pub(crate) faults: Vec<Fault>,
    /// How the network is while nothing is wrong with it.
    pub(crate) weather: Weather,
    /// A leaf's window.
    pub(crate) window: Duration,
    /// A leaf closes a log segment at about so many bytes.
    pub(crate) segment_bytes: u64,
    /// How long a leaf keeps merged records when the store may forget.
    pub(crate) retention: Duration,
    /// How producers batch and wait.
    pub(crate) rules: Rules,
    /// Whether producers wait for longer than any run takes, so that no event may be in doubt or rejected.
    pub(crate) is_patient: bool,
    /// Whether the store is durable when it answers; else it can be rolled back to its last save.
    pub(crate) durable_store: bool,
    /// The longest time between two saves of a store that is not, in milliseconds.
    pub(crate) save_gap_ms: u64,
    /// Whether a node that starts again does so on another port.
    pub(crate) moves_ports: bool,
    /// How many requests to the store in a hundred go wrong.
    pub(crate) store_mishaps: u64,
    /// An fsync takes up to so many microseconds.
    pub(crate) fsync_us: u64,
    /// The rule that this world breaks, if any.
    pub(crate) flaw: Option<Flaw>,
    /// Whether everything that happens is told.
    pub(crate) is_told: bool,
    /// See [`Setting::with_known`].
    pub(crate) with_known: bool,
}

impl Plan {
    /// The run that a seed stands for.
    pub(crate) fn new(random: &mut Random, setting: &Setting) -> Self {
        // Of most kinds of faults, half of the seeds have none: a fault must not hide what another brings to light.
        let mut faults: Vec<Fault> = Fault::ALL.into_iter().filter(|_| random.chance(60)).collect();
        faults.retain(|fault| setting.with_known || *fault != Fault::RegistryRollback);
        let forgets = |fault: &Fault| matches!(fault, Fault::StoreRollback | Fault::RegistryRollback);
        let durable_store = !faults.iter().any(forgets) && random.chance(60);
        let keeps_briefly = random.chance(50);
        let is_patient = random.chance(75);
        let give_up = if is_patient { Duration::from_secs(600) } else { random.millis(2_000, 5_000) };
        let rules = Rules {
            linger: random.micros(0, 20_000),
            batch_events: random.between(1, 8) as usize,
            in_flight_batches: random.between(1, 6) as usize,
            give_up,
            ..Rules::default()
        };
        let weather = Weather {
            least_us: 50,
            most_us: random.between(500, 20_000),
            spikes: random.below(8),
            spike_us: random.between(50_000, 1_000_000),
            datagram_loss: random.below(40),
        };
        Self {
            leaves: random.between(2, 3) as usize,
            roots: random.between(1, 2) as usize,
            broadcasts: random.between(1, 2) as usize,
            producers: random.between(2, 3) as usize,
            viewers: random.between(2, 4) as usize,
            topics: random.between(1, 3) as usize,
            events: random.between(100, 300) as usize,
            chaos: random.millis(3_000, 9_000),
            fault_gap_ms: random.between(50, 600),
            faults,
            weather,
            window: random.millis(10, 150),
            segment_bytes: random.between(300, 6_000),
            retention: if keeps_briefly { Duration::from_secs(2) } else { Duration::from_secs(3_600) },
            rules,
            is_patient,
            durable_store,
            save_gap_ms: if keeps_briefly { 500 } else { 4_000 },
            moves_ports: random.chance(50),
            store_mishaps: random.below(15),
            fsync_us: if random.chance(70) { 5_000 } else { 150_000 },
            flaw: setting.flaw,
            is_told: setting.is_told,
            with_known: setting.with_known,
        }
    }
}
