//! Shrinks a failing run to a small one that fails alike: delta debugging over the faults of its schedule.

use crate::faults::Only;
use crate::report::{Run, run};
use crate::setting::Setting;
use std::collections::BTreeSet;

/// A smaller run that breaks the same promise.
#[derive(Debug, Clone)]
pub struct Shrunk {
    /// Its setting.
    pub setting: Setting,
    /// Its result.
    pub run: Run,
    /// The number of runs that it took to find.
    pub runs: u32,
}

/// Leaves out as many faults as possible, and the everyday background faults if they are not needed. Each attempt is a
/// run, and there are at most `runs_max`. What it finds is small, not always smallest.
pub fn shrink(failed: &Run, setting: &Setting, runs_max: u32) -> Shrunk {
    let mut search = Search {
        best: Shrunk {
            setting: Setting { is_printed: false, ..setting.clone() },
            run: failed.clone(),
            runs: 0,
        },
        runs_max,
    };
    search.attempt(Setting { no_background_faults: true, ..search.best.setting.clone() });
    search.keep(&[]);
    let mut parts = 2;
    loop {
        let faults = search.faults();
        if faults.len() < 2 || search.is_over() {
            break;
        }
        let size = faults.len().div_ceil(parts);
        let without = |part: &[usize]| -> Vec<usize> {
            faults.iter().filter(|fault| !part.contains(fault)).copied().collect()
        };
        if faults.chunks(size).any(|part| search.keep(&without(part))) {
            parts = parts.saturating_sub(1).max(2);
        } else if size == 1 {
            break;
        } else {
            parts *= 2;
        }
    }
    search.attempt(Setting { no_background_faults: true, ..search.best.setting.clone() });
    search.best
}

struct Search {
    best: Shrunk,
    runs_max: u32,
}

impl Search {
    fn faults(&self) -> Vec<usize> {
        self.best.run.injected.iter().map(|injected| injected.number).collect()
    }

    fn is_over(&self) -> bool {
        self.best.runs >= self.runs_max
    }

    fn keep(&mut self, faults: &[usize]) -> bool {
        let only = Only::These(faults.iter().copied().collect::<BTreeSet<_>>());
        self.attempt(Setting { only, ..self.best.setting.clone() })
    }

    /// Whether a run fails alike; then it is the best so far.
    fn attempt(&mut self, setting: Setting) -> bool {
        if self.is_over() {
            return false;
        }
        self.best.runs += 1;
        let run = run(self.best.run.seed, &setting);
        let promise = |run: &Run| run.broken.as_ref().map(|broken| broken.promise);
        let fails_alike = promise(&run) == promise(&self.best.run);
        if fails_alike {
            // Faults without effect are left out with the rest.
            (self.best.setting, self.best.run) = (setting, run);
        }
        fails_alike
    }
}
