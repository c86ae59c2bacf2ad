//! What a seed stands for: the size of the cluster, its settings, and what may go wrong in it.

use crate::faults::Fault;
use crate::faults::schedule::{self, Only, Planned};
use crate::flaws::Flaw;
use crate::network::Weather;
use crate::random::Random;
use crate::setting::Setting;
use countree_client::machine::producer::ProducerOptions;
use std::time::Duration;

/// Longer than any run: sessions do not expire.
const LONG_HORIZON: Duration = Duration::from_secs(24 * 3600);

/// Longer than any run, too, unless clocks that are stepped have a say in it.
const HORIZON: Duration = Duration::from_secs(600);

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
    /// HTTP clients.
    pub(crate) clients: usize,
    /// Requests of each.
    pub(crate) requests: usize,
    /// Whether HTTP clients repeat what nobody answered; not when keys are remembered for a short time only.
    pub(crate) repeats: bool,
    /// Whether counters are set to 0 now and then.
    pub(crate) has_resets: bool,
    /// Topics that events are counted in.
    pub(crate) topics: usize,
    /// Events of all producers together.
    pub(crate) events: usize,
    /// For how long things go wrong. Events come throughout.
    pub(crate) chaos: Duration,
    /// What goes wrong, and when, by number.
    pub(crate) schedule: Vec<Planned>,
    /// See [`Setting::only`].
    pub(crate) only: Only,
    /// See [`Setting::no_mishaps`].
    pub(crate) has_mishaps: bool,
    /// How the network is while nothing is wrong with it.
    pub(crate) weather: Weather,
    /// A leaf's window.
    pub(crate) window: Duration,
    /// A leaf closes a log segment at about so many bytes.
    pub(crate) segment_bytes: u64,
    /// How long a leaf remembers idle sessions, and keys.
    pub(crate) horizon: Duration,
    /// How long a leaf keeps merged records when the store may forget.
    pub(crate) retention: Duration,
    /// Whether clocks are stepped, and readers wait for what was acked.
    pub(crate) has_clock_steps: bool,
    /// How producers batch and wait.
    pub(crate) rules: ProducerOptions,
    /// Whether producers wait for longer than any run takes, so that no event may be in doubt or rejected.
    pub(crate) is_patient: bool,
    /// Whether the store is durable when it answers; else it can be rolled back to its last save.
    pub(crate) durable_store: bool,
    /// The longest time between two saves of a store that is not, in milliseconds.
    pub(crate) save_gap_ms: u64,
    /// Whether the disk of a leaf that has settled may be thrown away.
    pub(crate) disks_go: bool,
    /// Whether a node that starts again does so on another port.
    pub(crate) moves_ports: bool,
    /// How many requests to the store in a hundred go wrong.
    pub(crate) store_mishaps: u64,
    /// An fsync takes up to so many microseconds.
    pub(crate) fsync_us: u64,
    /// The rule that this world breaks, if any.
    pub(crate) flaw: Option<Flaw>,
    /// See [`Setting::is_digested`].
    pub(crate) is_digested: bool,
    /// Whether everything that happens is told.
    pub(crate) is_told: bool,
}

impl Plan {
    /// The run that a seed stands for.
    pub(crate) fn new(random: &mut Random, setting: &Setting) -> Self {
        // Of most kinds of faults, half of the seeds have none: a fault must not hide what another brings to light.
        let drawn: Vec<Fault> = Fault::ALL.into_iter().filter(|_| random.chance(60)).collect();
        let faults = if setting.kinds.is_empty() { drawn } else { setting.kinds.clone() };
        let forgets = |fault: &Fault| {
            matches!(fault, Fault::StoreRollback | Fault::StoreReplaced | Fault::RegistryRollback)
        };
        let durable_store = !faults.iter().any(forgets) && random.chance(60);
        let has_clock_steps = faults.contains(&Fault::ClockStepped);
        let keeps_briefly = random.chance(50);
        // Another store knows nothing of them, and an emptied one is told by those roots that are there.
        let forgets_members = [Fault::RegistryRollback, Fault::StoreEmptied, Fault::RootsMisled]
            .iter()
            .any(|fault| faults.contains(fault));
        let forgets_sessions = random.chance(15);
        let is_patient = random.chance(75) && !forgets_sessions;
        let give_up = if is_patient { Duration::from_secs(600) } else { random.millis(2_000, 5_000) };
        let mut rules = ProducerOptions::default();
        rules.linger = random.micros(0, 20_000);
        rules.batch_events = random.between(1, 8) as usize;
        rules.in_flight_batches = random.between(1, 6) as usize;
        rules.give_up = give_up;
        let mut weather = Weather {
            least_us: 50,
            most_us: random.between(500, 20_000),
            spikes: random.below(8),
            spike_us: random.between(50_000, 1_000_000),
            datagram_loss: random.below(40),
        };
        let mut store_mishaps = random.below(15);
        if setting.no_mishaps {
            (weather.spikes, weather.datagram_loss, store_mishaps) = (0, 0, 0);
        }
        let chaos = random.millis(3_000, 9_000) * setting.longer;
        let schedule = schedule::draw(random, &faults, chaos);
        let clients = random.below(3) as usize;
        Self {
            leaves: random.between(2, 3) as usize,
            roots: random.between(1, 2) as usize,
            broadcasts: random.between(1, 2) as usize,
            producers: random.between(2, 3) as usize,
            viewers: random.between(2, 4) as usize,
            clients,
            requests: random.between(5, 25) as usize,
            // A registry that falls back may forget a leaf, and with it who remembered which keys.
            repeats: !forgets_sessions && !forgets_members,
            has_resets: random.chance(30) && !forgets_members,
            topics: random.between(1, 3) as usize,
            events: random.between(100, 300) as usize * setting.longer as usize,
            chaos,
            schedule,
            only: setting.only.clone(),
            has_mishaps: !setting.no_mishaps,
            weather,
            window: random.millis(10, 150),
            segment_bytes: random.between(300, 6_000),
            horizon: match (forgets_sessions, has_clock_steps) {
                (true, _) => random.millis(500, 3_000),
                (false, true) => HORIZON,
                (false, false) => LONG_HORIZON,
            },
            has_clock_steps,
            retention: if keeps_briefly { Duration::from_secs(2) } else { Duration::from_secs(3_600) },
            rules,
            is_patient,
            durable_store,
            // Only where the store makes durable what it holds well within the time that a leaving leaf waits for it.
            disks_go: durable_store || keeps_briefly,
            save_gap_ms: if keeps_briefly { 500 } else { 4_000 },
            moves_ports: random.chance(50),
            store_mishaps,
            fsync_us: if random.chance(70) { 5_000 } else { 150_000 },
            flaw: setting.flaw,
            is_digested: setting.is_digested,
            is_told: setting.is_told,
        }
    }
}
