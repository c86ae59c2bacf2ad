//! The setting of a series of runs, and its form on the command line.

use crate::faults::Fault;
use crate::faults::Only;
use crate::flaws::Flaw;
use crate::random::Random;
use std::fmt::{self, Display};

/// The setting that all runs of a series share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The rule that this world breaks, if any.
    pub flaw: Option<Flaw>,
    /// The kinds of faults that seeds draw from; empty where each seed takes its own.
    pub kinds: Vec<Fault>,
    /// A run's faults and events go on this many times longer than usual.
    pub longer: u32,
    /// The planned faults that are injected.
    pub only: Only,
    /// Whether background faults of disks, stores and networks are left out.
    pub no_background_faults: bool,
    /// Whether every event goes into the run's digest.
    pub is_digested: bool,
    /// Whether every event is printed on standard error.
    pub is_printed: bool,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            flaw: None,
            kinds: Vec::new(),
            longer: 1,
            only: Only::All,
            no_background_faults: false,
            is_digested: false,
            is_printed: false,
        }
    }
}

/// Kinds of faults in one mix, at most.
const MIXED_MAX: u64 = 8;

/// The way in which a series draws its runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Draw {
    /// One seed after another.
    #[default]
    InARow,
    /// Seeds that are drawn at random.
    Random,
    /// Seeds and a few kinds of faults, drawn at random: what is rare where anything may happen is common there.
    Mixes,
}

/// A series of runs, as on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arguments {
    /// The first seed, or what the seeds are drawn from.
    pub first: u64,
    /// The number of seeds.
    pub count: u64,
    /// The way in which seeds are drawn.
    pub draw: Draw,
    /// Whether the series goes on after a run that broke a promise.
    pub keeps_going: bool,
    /// The setting of all runs.
    pub setting: Setting,
}

impl Arguments {
    /// The usage text.
    pub const USAGE: &str = "usage: countree-sim --seeds N [--seed FIRST] [--random|--mixes] [--keep-going] \
                             [--kinds KIND,KIND…] [--longer TIMES] [--only-faults N,N…|none] [--no-background-faults] [--flaw NAME] [--trace]";

    /// The one run of a seed.
    pub fn of_seed(seed: u64, setting: Setting) -> Self {
        Self { first: seed, count: 1, draw: Draw::InARow, keeps_going: false, setting }
    }

    /// The seed and the setting of each run.
    pub fn runs(&self) -> impl Iterator<Item = (u64, Setting)> {
        let mut random = Random::new(self.first);
        (0..self.count).map(move |at| {
            let mut setting = self.setting.clone();
            let seed = match self.draw {
                Draw::InARow => self.first.wrapping_add(at),
                Draw::Random | Draw::Mixes => random.bits(),
            };
            if self.draw == Draw::Mixes {
                let count = random.between(1, MIXED_MAX);
                let kinds = [&Fault::ALL[..], &Fault::NAMED[..]].concat();
                setting.kinds = (0..count).filter_map(|_| random.pick(&kinds).copied()).collect();
            }
            (seed, setting)
        })
    }

    /// Reads a command line.
    ///
    /// # Errors
    /// The error, for people.
    pub fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut first, mut count) = (None, None);
        let (mut draw, mut keeps_going, mut setting) = (Draw::default(), false, Setting::default());
        while let Some(flag) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{flag} takes a value"));
            match flag.as_str() {
                "--seeds" => count = Some(number(&flag, &value()?)?),
                "--seed" => first = Some(number(&flag, &value()?)?),
                "--random" => draw = Draw::Random,
                "--mixes" => draw = Draw::Mixes,
                "--keep-going" => keeps_going = true,
                "--kinds" => setting.kinds = value()?.split(',').map(str::parse).collect::<Result<_, _>>()?,
                "--longer" => setting.longer = number(&flag, &value()?)?,
                "--only-faults" => setting.only = only(&flag, &value()?)?,
                "--no-background-faults" => setting.no_background_faults = true,
                "--flaw" => setting.flaw = Some(value()?.parse()?),
                "--trace" => setting.is_printed = true,
                _ => return Err(format!("'{flag}' is not known")),
            }
        }
        if draw == Draw::Mixes && !setting.kinds.is_empty() {
            return Err("--mixes draws the kinds of faults itself: leave --kinds out".into());
        }
        let count = count.or(first.map(|_| 1)).ok_or("--seeds is missing")?;
        Ok(Self { first: first.unwrap_or(0), count, draw, keeps_going, setting })
    }
}

fn number<T: std::str::FromStr>(flag: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{flag} takes numbers, not '{value}'"))
}

fn only(flag: &str, value: &str) -> Result<Only, String> {
    if value == "none" {
        return Ok(Only::These([].into()));
    }
    value.split(',').map(|part| number(flag, part)).collect::<Result<_, _>>().map(Only::These)
}

impl Display for Arguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, count, draw, keeps_going, setting } = self;
        let Setting { flaw, kinds, longer, only, no_background_faults, is_printed, .. } = setting;
        write!(f, "--seed {first}")?;
        if *count != 1 {
            write!(f, " --seeds {count}")?;
        }
        match draw {
            Draw::InARow => {}
            Draw::Random => write!(f, " --random")?,
            Draw::Mixes => write!(f, " --mixes")?,
        }
        if *keeps_going {
            write!(f, " --keep-going")?;
        }
        if !kinds.is_empty() {
            let kinds: Vec<_> = kinds.iter().map(Fault::to_string).collect();
            write!(f, " --kinds {}", kinds.join(","))?;
        }
        if *longer != 1 {
            write!(f, " --longer {longer}")?;
        }
        if let Only::These(faults) = only {
            let faults: Vec<_> = faults.iter().map(usize::to_string).collect();
            write!(f, " --only-faults {}", if faults.is_empty() { "none".into() } else { faults.join(",") })?;
        }
        if let Some(flaw) = flaw {
            write!(f, " --flaw {flaw}")?;
        }
        for (is_set, flag) in [(no_background_faults, "--no-background-faults"), (is_printed, "--trace")] {
            if *is_set {
                write!(f, " {flag}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Arguments, String> {
        Arguments::read(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn what_is_printed_can_be_read_again() {
        let lines = [
            "--seed 7",
            "--seed 7 --seeds 1000",
            "--seed 7 --seeds 1000 --random",
            "--seed 7 --seeds 1000 --mixes --keep-going --longer 2",
            "--seed 7 --only-faults none",
            "--seed 0 --kinds LeafKilled,Partition --longer 4 --only-faults 3,17 --flaw MergesForward --no-background-faults --trace",
        ];
        for line in lines {
            assert_eq!(read(line).unwrap().to_string(), line);
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let lines = [
            "",
            "--seeds",
            "--seeds many",
            "--seed 1 --only-faults 3;4",
            "--flaw None --seed 1",
            "--seeds 9 --mixes --kinds LeafKilled",
            "-h",
        ];
        for line in lines {
            assert!(read(line).is_err(), "{line}");
        }
    }

    #[test]
    fn runs_that_are_drawn_are_the_same_ones_from_the_same_start() {
        let runs = |line: &str| read(line).unwrap().runs().collect::<Vec<_>>();
        let seeds = |line: &str| runs(line).iter().map(|(seed, _)| *seed).collect::<Vec<_>>();
        assert_eq!(seeds("--seed 7 --seeds 3"), [7, 8, 9]);
        assert_eq!(runs("--seed 7 --seeds 50 --mixes"), runs("--seed 7 --seeds 50 --mixes"));
        assert_ne!(seeds("--seed 7 --seeds 3 --random"), seeds("--seed 8 --seeds 3 --random"));
        let mixes = runs("--seed 7 --seeds 50 --mixes");
        assert!(mixes.iter().all(|(_, setting)| (1..=8).contains(&setting.kinds.len())));
        let (seed, setting) = mixes[9].clone();
        let replayed = read(&Arguments::of_seed(seed, setting).to_string()).unwrap();
        assert_eq!(replayed.runs().collect::<Vec<_>>(), mixes[9..10]);
    }
}
