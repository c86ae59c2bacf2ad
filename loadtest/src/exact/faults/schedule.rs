//! The schedule of faults, decided by the seed and by what is up, so that it can be tested without processes.

use crate::arguments::Allowed;
use crate::cluster::process::{Act, ProcessKind};
use countree_common::time::Time;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

/// The time between two faults, in ms.
const CALM_MS: RangeInclusive<u64> = 300..=1_500;
const PAUSE_MS: RangeInclusive<u64> = 200..=3_000;
/// The downtime of a process, in ms.
const DOWN_MS: RangeInclusive<u64> = 0..=2_000;
/// The downtime of a process that stays away: longer than its lease (5 s), so that the cluster goes on without it.
const AWAY_MS: RangeInclusive<u64> = 6_000..=9_000;
/// The bytes that the store's log loses at its end: up to some seconds of the default load.
const FORGOTTEN_BYTES: RangeInclusive<u64> = 1..=500_000;
/// The faults to draw from; kills are listed twice, since they come twice as often.
const FAULTS: [Fault; 8] = [
    Fault::Kill,
    Fault::Kill,
    Fault::Pause,
    Fault::Stop,
    Fault::Away,
    Fault::Forget,
    Fault::Restore,
    Fault::Disk,
];
/// A process that has not drained after this long is killed.
const DRAIN: Duration = Duration::from_secs(30);
/// A process that ended by itself is started again after this long, as a container runtime would.
const RESTART: Duration = Duration::from_millis(500);

/// A fault that was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::exact) enum Fault {
    Kill,
    Pause,
    Stop,
    Away,
    Forget,
    Restore,
    Disk,
}

/// An act on the process of that number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::exact) struct Command {
    pub(in crate::exact) process: usize,
    pub(in crate::exact) act: Act,
}

/// The condition that ends the faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::exact) enum Limit {
    Kills(u32),
    Until(Time),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Up,
    Paused,
    Draining,
    Down,
}

/// The faults of one run.
#[derive(Debug)]
pub(in crate::exact) struct FaultSchedule {
    random: Xoshiro256PlusPlus,
    allowed: Vec<Allowed>,
    limit: Limit,
    processes: Vec<(ProcessKind, State)>,
    next_fault: Time,
    /// The acts that undo faults, by due time; the second number keeps the order of acts that are due at once.
    pending: BTreeMap<(Time, u64), Command>,
    pending_made: u64,
    done: BTreeMap<(Fault, ProcessKind), u32>,
}

impl FaultSchedule {
    /// All processes are up.
    pub(in crate::exact) fn new(
        seed: u64,
        allowed: Vec<Allowed>,
        limit: Limit,
        processes: impl IntoIterator<Item = ProcessKind>,
        now: Time,
    ) -> Self {
        let mut schedule = Self {
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
            allowed,
            limit,
            processes: processes.into_iter().map(|kind| (kind, State::Up)).collect(),
            next_fault: now,
            pending: BTreeMap::new(),
            pending_made: 0,
            done: BTreeMap::new(),
        };
        schedule.next_fault = now + schedule.draw(CALM_MS);
        schedule
    }

    /// The number of times that each fault was done to each kind of process.
    pub(in crate::exact) fn done(&self) -> &BTreeMap<(Fault, ProcessKind), u32> {
        &self.done
    }

    /// The number of kills.
    pub(in crate::exact) fn kills(&self) -> u32 {
        let kills = [Fault::Kill, Fault::Away, Fault::Forget, Fault::Restore, Fault::Disk];
        kills.map(|fault| self.count(fault)).iter().sum()
    }

    /// The number of times that one fault was done.
    pub(in crate::exact) fn count(&self, fault: Fault) -> u32 {
        self.done.iter().filter(|((f, _), _)| *f == fault).map(|(_, n)| n).sum()
    }

    /// Whether there is no more to come and every process is up.
    pub(in crate::exact) fn is_over(&self, now: Time) -> bool {
        self.is_spent(now) && self.pending.is_empty() && self.processes.iter().all(|(_, s)| *s == State::Up)
    }

    fn is_spent(&self, now: Time) -> bool {
        match self.limit {
            Limit::Kills(kills) => self.kills() >= kills,
            Limit::Until(end) => now >= end,
        }
    }

    /// The acts that are due by now.
    pub(in crate::exact) fn handle_time(&mut self, now: Time) -> Vec<Command> {
        let mut commands = Vec::new();
        while let Some(entry) = self.pending.first_entry().filter(|entry| entry.key().0 <= now) {
            let command = entry.remove();
            self.carry_out(command, now);
            commands.push(command);
        }
        if now >= self.next_fault && !self.is_spent(now) {
            self.next_fault = now + self.draw(CALM_MS);
            commands.extend(self.fault(now));
        }
        commands
    }

    /// Handles the end of a process that was not killed; returns whether it had been asked to drain.
    pub(in crate::exact) fn handle_exit(&mut self, process: usize, now: Time) -> bool {
        let was_told = self.processes.get(process).is_some_and(|(_, state)| *state == State::Draining);
        let wait = if was_told { self.draw(DOWN_MS) } else { RESTART };
        self.forget(process);
        self.set(process, State::Down);
        self.later(now + wait, process, Act::Start);
        was_told
    }

    /// Draws the tier first, so that each gets its share whatever the number of its nodes.
    fn fault(&mut self, now: Time) -> Option<Command> {
        let may = |fault, kind| {
            let on_nodes = match fault {
                Fault::Kill => Allowed::Kill,
                Fault::Pause => Allowed::Pause,
                Fault::Stop => Allowed::Stop,
                Fault::Away => Allowed::Away,
                Fault::Forget => {
                    return kind == ProcessKind::Redis && self.allowed.contains(&Allowed::Forget);
                }
                Fault::Restore => {
                    return kind == ProcessKind::Redis && self.allowed.contains(&Allowed::Restore);
                }
                Fault::Disk => return kind == ProcessKind::Leaf && self.allowed.contains(&Allowed::Disk),
            };
            match kind {
                ProcessKind::Redis => {
                    self.allowed.contains(&Allowed::Redis) && matches!(fault, Fault::Kill | Fault::Pause)
                }
                _ => self.allowed.contains(&on_nodes),
            }
        };
        // A process may be killed in the middle of a pause or a drain too.
        let fits = |fault, state| state == State::Up || fault == Fault::Kill && state != State::Down;
        let mut choices: BTreeMap<ProcessKind, Vec<(usize, Fault)>> = BTreeMap::new();
        for (process, &(kind, state)) in self.processes.iter().enumerate() {
            for fault in FAULTS {
                if may(fault, kind) && fits(fault, state) {
                    choices.entry(kind).or_default().push((process, fault));
                }
            }
        }
        let kinds: Vec<_> = choices.into_values().collect();
        let choices = kinds.get(self.below(kinds.len())?)?;
        let &(process, fault) = choices.get(self.below(choices.len())?)?;
        let act = match fault {
            Fault::Kill => Act::Kill,
            Fault::Pause => Act::Pause,
            Fault::Stop => Act::Terminate,
            Fault::Away => Act::KillForLong,
            Fault::Forget => Act::KillAndForget(self.random.random_range(FORGOTTEN_BYTES)),
            Fault::Restore => Act::KillAndRestore,
            Fault::Disk if self.random.random() => Act::KillAndRestore,
            Fault::Disk => Act::KillAndLose,
        };
        let command = Command { process, act };
        self.carry_out(command, now);
        Some(command)
    }

    /// Notes what a command changes, and what has to follow it.
    fn carry_out(&mut self, Command { process, act }: Command, now: Time) {
        match act {
            Act::Kill => self.kill(Fault::Kill, process, DOWN_MS, now),
            Act::KillForLong => self.kill(Fault::Away, process, AWAY_MS, now),
            Act::KillAndForget(_) => self.kill(Fault::Forget, process, DOWN_MS, now),
            Act::KillAndRestore if self.kind(process) == Some(ProcessKind::Redis) => {
                self.kill(Fault::Restore, process, DOWN_MS, now);
            }
            Act::KillAndRestore | Act::KillAndLose => self.kill(Fault::Disk, process, DOWN_MS, now),
            Act::Pause => {
                self.note(Fault::Pause, process);
                self.set(process, State::Paused);
                let wait = self.draw(PAUSE_MS);
                self.later(now + wait, process, Act::Resume);
            }
            Act::Terminate => {
                self.note(Fault::Stop, process);
                self.set(process, State::Draining);
                self.later(now + DRAIN, process, Act::Kill);
            }
            Act::Resume | Act::Start => self.set(process, State::Up),
        }
    }

    fn kill(&mut self, fault: Fault, process: usize, down_ms: RangeInclusive<u64>, now: Time) {
        self.forget(process);
        self.note(fault, process);
        self.set(process, State::Down);
        let wait = self.draw(down_ms);
        self.later(now + wait, process, Act::Start);
    }

    fn kind(&self, process: usize) -> Option<ProcessKind> {
        self.processes.get(process).map(|(kind, _)| *kind)
    }

    fn note(&mut self, fault: Fault, process: usize) {
        if let Some(kind) = self.kind(process) {
            *self.done.entry((fault, kind)).or_default() += 1;
        }
    }

    fn set(&mut self, process: usize, state: State) {
        if let Some((_, old)) = self.processes.get_mut(process) {
            *old = state;
        }
    }

    fn later(&mut self, at: Time, process: usize, act: Act) {
        self.pending_made += 1;
        self.pending.insert((at, self.pending_made), Command { process, act });
    }

    fn forget(&mut self, process: usize) {
        self.pending.retain(|_, command| command.process != process);
    }

    fn draw(&mut self, milliseconds: RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.random.random_range(milliseconds))
    }

    fn below(&mut self, end: usize) -> Option<usize> {
        (end > 0).then(|| self.random.random_range(0..end))
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
