//! The plan of a run, drawn from its seed: the cluster, its clients, the network, the store and the faults.

use crate::faults::Fault;
use crate::faults::schedule::{self, Only, Planned};
use crate::flaws::Flaw;
use crate::network::NetworkConditions;
use crate::random::Random;
use crate::setting::Setting;
use countree_client::machine::producer::ProducerOptions;
use std::time::Duration;

/// Longer than any run: sessions do not expire.
const LONG_HORIZON: Duration = Duration::from_secs(24 * 3600);

/// Longer than any run, too, unless clocks that are stepped have a say in it.
const HORIZON: Duration = Duration::from_secs(600);

/// The nodes of the cluster, and their settings.
#[derive(Debug, Clone)]
pub(crate) struct ClusterPlan {
    /// Leaves that are there at the beginning; one more may join.
    pub(crate) leaves: usize,
    /// Roots.
    pub(crate) roots: usize,
    /// Broadcast nodes.
    pub(crate) broadcasts: usize,
    /// A leaf's window.
    pub(crate) window: Duration,
    /// A leaf closes a log segment at about this many bytes.
    pub(crate) segment_bytes: u64,
    /// A leaf remembers idle sessions and keys for this long.
    pub(crate) horizon: Duration,
    /// A leaf keeps merged records for this long when the store may forget.
    pub(crate) retention: Duration,
    /// Whether the disk of a leaf that has settled may be thrown away.
    pub(crate) discards_disks: bool,
    /// Whether a node that starts again does so on another port.
    pub(crate) moves_ports: bool,
    /// The longest fsync, in microseconds.
    pub(crate) fsync_us: u64,
}

/// The clients, and what they count.
#[derive(Debug, Clone)]
pub(crate) struct Workload {
    /// Producers.
    pub(crate) producers: usize,
    /// Viewers.
    pub(crate) viewers: usize,
    /// HTTP clients.
    pub(crate) clients: usize,
    /// Requests of each HTTP client.
    pub(crate) requests: usize,
    /// Whether HTTP clients repeat what nobody answered; not when keys are remembered for a short time only.
    pub(crate) repeats: bool,
    /// Whether counters are set to 0 now and then.
    pub(crate) has_resets: bool,
    /// Topics that events are counted in.
    pub(crate) topics: usize,
    /// Events of all producers together.
    pub(crate) events: usize,
    /// The producers' options for batching and waiting.
    pub(crate) rules: ProducerOptions,
    /// Whether producers wait for longer than any run takes, so that no event may be in doubt or rejected.
    pub(crate) never_gives_up: bool,
}

/// The store.
#[derive(Debug, Clone)]
pub(crate) struct StorePlan {
    /// Whether it is durable when it answers; else it can be rolled back to its last save.
    pub(crate) is_durable: bool,
    /// The longest time between two saves of a store that is not, in milliseconds.
    pub(crate) save_gap_ms: u64,
    /// Requests in a hundred that go wrong.
    pub(crate) failures: u64,
}

/// The faults.
#[derive(Debug, Clone)]
pub(crate) struct FaultPlan {
    /// Faults are injected for this long. Events come throughout.
    pub(crate) duration: Duration,
    /// Every fault of the seed, by number.
    pub(crate) schedule: Vec<Planned>,
    /// See [`Setting::only`].
    pub(crate) only: Only,
    /// See [`Setting::no_background_faults`].
    pub(crate) has_background: bool,
    /// Whether clocks are stepped, and readers wait for what was acked.
    pub(crate) has_clock_steps: bool,
}

/// One run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) cluster: ClusterPlan,
    pub(crate) workload: Workload,
    /// The network's conditions while no fault changes them.
    pub(crate) network: NetworkConditions,
    pub(crate) store: StorePlan,
    pub(crate) faults: FaultPlan,
    /// The rule that this world breaks, if any.
    pub(crate) flaw: Option<Flaw>,
    /// See [`Setting::is_digested`].
    pub(crate) is_digested: bool,
    /// See [`Setting::is_printed`].
    pub(crate) is_printed: bool,
}

impl Plan {
    /// Draws the run of a seed. The order of the draws is part of what a seed means.
    pub(crate) fn new(random: &mut Random, setting: &Setting) -> Self {
        // Each kind of fault is missing in four of ten seeds: one must not hide what another brings to light.
        let drawn: Vec<Fault> = Fault::ALL.into_iter().filter(|_| random.chance(60)).collect();
        let kinds = if setting.kinds.is_empty() { drawn } else { setting.kinds.clone() };
        let forgets = |fault: &Fault| {
            matches!(fault, Fault::StoreRollback | Fault::StoreReplaced | Fault::RegistryRollback)
        };
        let is_durable = !kinds.iter().any(forgets) && random.chance(60);
        let has_clock_steps = kinds.contains(&Fault::ClockStepped);
        let keeps_briefly = random.chance(50);
        // Another store knows nothing of them, and an emptied one gets them back only from roots that run.
        let forgets_members = [Fault::RegistryRollback, Fault::StoreEmptied, Fault::RootsOnOtherStore]
            .iter()
            .any(|fault| kinds.contains(fault));
        let forgets_sessions = random.chance(15);
        let never_gives_up = random.chance(75) && !forgets_sessions;
        let give_up = if never_gives_up { Duration::from_secs(600) } else { random.millis(2_000, 5_000) };
        let mut rules = ProducerOptions::default();
        rules.linger = random.micros(0, 20_000);
        rules.batch_events = random.between(1, 8) as usize;
        rules.in_flight_batches = random.between(1, 6) as usize;
        rules.give_up = give_up;
        let mut network = NetworkConditions {
            least_us: 50,
            most_us: random.between(500, 20_000),
            spikes: random.below(8),
            spike_us: random.between(50_000, 1_000_000),
            datagram_loss: random.below(40),
        };
        let mut failures = random.below(15);
        if setting.no_background_faults {
            (network.spikes, network.datagram_loss, failures) = (0, 0, 0);
        }
        let duration = random.millis(3_000, 9_000) * setting.longer;
        let schedule = schedule::draw(random, &kinds, duration);
        let clients = random.below(3) as usize;
        let (leaves, roots) = (random.between(2, 3) as usize, random.between(1, 2) as usize);
        let (broadcasts, producers) = (random.between(1, 2) as usize, random.between(2, 3) as usize);
        let (viewers, requests) = (random.between(2, 4) as usize, random.between(5, 25) as usize);
        let workload = Workload {
            producers,
            viewers,
            clients,
            requests,
            // A registry that falls back may forget a leaf, and with it who remembered which keys.
            repeats: !forgets_sessions && !forgets_members,
            has_resets: random.chance(30) && !forgets_members,
            topics: random.between(1, 3) as usize,
            events: random.between(100, 300) as usize * setting.longer as usize,
            rules,
            never_gives_up,
        };
        let cluster = ClusterPlan {
            leaves,
            roots,
            broadcasts,
            window: random.millis(10, 150),
            segment_bytes: random.between(300, 6_000),
            horizon: match (forgets_sessions, has_clock_steps) {
                (true, _) => random.millis(500, 3_000),
                (false, true) => HORIZON,
                (false, false) => LONG_HORIZON,
            },
            retention: if keeps_briefly { Duration::from_secs(2) } else { Duration::from_secs(3_600) },
            // Only where the store makes durable what it holds well within the time that a leaving leaf waits for it.
            discards_disks: is_durable || keeps_briefly,
            moves_ports: random.chance(50),
            fsync_us: if random.chance(70) { 5_000 } else { 150_000 },
        };
        let faults = FaultPlan {
            duration,
            schedule,
            only: setting.only.clone(),
            has_background: !setting.no_background_faults,
            has_clock_steps,
        };
        let store = StorePlan { is_durable, save_gap_ms: if keeps_briefly { 500 } else { 4_000 }, failures };
        Self {
            cluster,
            workload,
            network,
            store,
            faults,
            flaw: setting.flaw,
            is_digested: setting.is_digested,
            is_printed: setting.is_printed,
        }
    }
}
