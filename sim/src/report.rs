//! The results of a run, and of a series of runs.

use crate::faults::InjectedFault;
use crate::faults::Tally;
use crate::model::Broken;
use crate::model::EventStatus;
use crate::plan::Plan;
use crate::random::Random;
use crate::setting::Setting;
use crate::world::World;
use std::fmt;
use std::time::Duration;

/// The result of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The seed, which repeats it.
    pub seed: u64,
    /// The first broken promise, if any.
    pub broken: Option<Broken>,
    /// A digest of everything that happened, if the setting asks for it.
    pub trace: u64,
    /// The number of events.
    pub steps: u64,
    /// The simulated time that it took; zero when it broke.
    pub simulated: Duration,
    /// Events that producers had.
    pub events: u64,
    /// Events that were acked.
    pub acked: u64,
    /// Events whose clients were left in doubt.
    pub in_doubt: u64,
    /// Resets that were done.
    pub resets: u64,
    /// The number of them that forgot a whole topic.
    pub forgets: u64,
    /// Counts of faults.
    pub tally: Tally,
    /// The faults that had an effect, in order.
    pub injected: Vec<InjectedFault>,
}

/// Runs the cluster that a seed stands for.
pub fn run(seed: u64, setting: &Setting) -> Run {
    let mut random = Random::new(seed);
    let plan = Plan::new(&mut random, setting);
    let mut world = World::new(plan, random);
    let result = world.run();
    let model = world.model();
    Run {
        seed,
        trace: world.trace(),
        steps: world.steps(),
        simulated: result.as_ref().copied().unwrap_or_default(),
        broken: result.err(),
        events: model.events.len() as u64,
        acked: model.count(EventStatus::Acked),
        in_doubt: model.count(EventStatus::InDoubt),
        resets: model.resets.count(),
        forgets: model.resets.forgets,
        tally: world.tally().clone(),
        injected: world.injected().to_vec(),
    }
}

/// The sum of many runs.
#[derive(Debug, Clone, Default)]
pub struct Series {
    runs: u64,
    events: u64,
    acked: u64,
    in_doubt: u64,
    resets: u64,
    forgets: u64,
    steps: u64,
    simulated: Duration,
    tally: Tally,
}

impl Series {
    /// Takes a run in.
    pub fn add(&mut self, run: &Run) {
        self.runs += 1;
        self.events += run.events;
        self.acked += run.acked;
        self.in_doubt += run.in_doubt;
        self.resets += run.resets;
        self.forgets += run.forgets;
        self.steps += run.steps;
        self.simulated += run.simulated;
        self.tally.absorb(&run.tally);
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs, events, acked, in_doubt, resets, forgets, steps, simulated, tally } = self;
        writeln!(f, "runs      {runs} ({steps} steps in {} simulated s)", simulated.as_secs())?;
        writeln!(
            f,
            "events    {events}, of which {acked} acked, {in_doubt} in doubt; {resets} resets, {forgets} of them topics forgotten"
        )?;
        writeln!(f, "faults")?;
        tally.iter().try_for_each(|(what, count)| writeln!(f, "{count:>9} {what}"))
    }
}
