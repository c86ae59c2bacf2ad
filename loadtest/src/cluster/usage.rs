//! Processor time and memory of processes, from Linux's `/proc`.

use countree_common::shell::failure::Failure;
use serde::Serialize;
use std::collections::BTreeMap;

/// Processor seconds by process: user and system time of all its threads, to a tick of the kernel's clock
/// (10 ms).
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub(crate) struct Usage {
    seconds: BTreeMap<String, f64>,
}

impl Usage {
    /// Reads one process and adds it.
    ///
    /// # Errors
    /// When the process is gone, or this is not Linux.
    pub(crate) fn add(&mut self, name: &str, process: &str) -> Result<(), Failure> {
        self.set(name, seconds(process)?);
        Ok(())
    }

    /// Processor seconds from elsewhere.
    pub(crate) fn set(&mut self, name: &str, seconds: f64) {
        self.seconds.insert(name.to_owned(), seconds);
    }

    /// Whether no process was read.
    pub(crate) fn is_unknown(&self) -> bool {
        self.seconds.is_empty()
    }

    /// The use since `before`, rounded to the kernel's ticks.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let used = |(name, after): (&String, &f64)| {
            let before = before.seconds.get(name).copied().unwrap_or(0.0);
            (name.clone(), between(before, *after))
        };
        Self { seconds: self.seconds.iter().map(used).collect() }
    }

    /// Sums it over all processes.
    pub(crate) fn total(&self) -> f64 {
        between(0.0, self.seconds.values().sum())
    }

    /// Sums it over the processes whose name begins so: `leaf` for every leaf. `None` when there is none.
    pub(crate) fn of(&self, tier: &str) -> Option<f64> {
        let of_tier = self.seconds.iter().filter(|(name, _)| name.starts_with(tier));
        of_tier.map(|(_, seconds)| *seconds).reduce(|a, b| a + b).map(|sum| between(0.0, sum))
    }

    /// `leaf-0 1.20, root-0 0.55`, if there is more than one process.
    pub(crate) fn parts(&self) -> Option<String> {
        let parts: Vec<_> =
            self.seconds.iter().map(|(name, seconds)| format!("{name} {seconds:.2}")).collect();
        (parts.len() > 1).then(|| parts.join(", "))
    }
}

/// User and system time of a process so far, in seconds.
///
/// # Errors
/// When the process is gone, or this is not Linux.
pub(crate) fn seconds(process: &str) -> Result<f64, Failure> {
    let stat = read(process, "stat")?;
    let ticks =
        ticks(&stat).ok_or_else(|| Failure::failed(format!("/proc/{process}/stat is not of its form")))?;
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// A process's resident memory, in bytes.
///
/// # Errors
/// When the process is gone, or this is not Linux.
pub(crate) fn resident_bytes(process: u32) -> Result<u64, Failure> {
    let statm = read(&process.to_string(), "statm")?;
    let pages = statm.split_ascii_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
    let pages = pages.ok_or_else(|| Failure::failed(format!("/proc/{process}/statm is not of its form")))?;
    Ok(pages * rustix::param::page_size() as u64)
}

/// Whether a process that we started is no more, or only waits to be asked how it ended.
pub(crate) fn has_ended(process: u32) -> bool {
    let stat = read(&process.to_string(), "stat").unwrap_or_default();
    stat.rsplit_once(')').is_none_or(|(_, fields)| fields.trim_start().starts_with('Z'))
}

fn read(process: &str, file: &str) -> Result<String, Failure> {
    let path = format!("/proc/{process}/{file}");
    std::fs::read_to_string(&path).map_err(|e| Failure::failed(format!("{path}: {e}")))
}

/// The use between two readings, rounded to the kernel's ticks.
pub(crate) fn between(before: f64, after: f64) -> f64 {
    ((after - before) * 1e3).round() / 1e3
}

/// Fields 14 and 15 (proc_pid_stat(5)), counted from behind the command's name, which may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_may_hold_spaces_and_brackets() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 250 31 7 8 20 0 3 0 100";
        assert_eq!(ticks(stat), Some(281));
        assert_eq!(ticks("42 (a) S 1"), None);
    }

    #[test]
    fn this_process_has_used_some_or_none() {
        assert!(seconds("self").unwrap() >= 0.0);
        assert!(seconds("0").is_err());
        assert!(resident_bytes(std::process::id()).unwrap() > 100_000);
    }

    #[test]
    fn tiers_are_told_apart_and_add_up() {
        let usage = |leaf: f64, root: f64| Usage {
            seconds: [("leaf-0", leaf), ("leaf-1", leaf), ("root-0", root)]
                .map(|(n, s)| (n.to_owned(), s))
                .into(),
        };
        let used = usage(2.5, 1.0).since(&usage(1.0, 0.25));
        assert_eq!((used.of("leaf"), used.of("root"), used.of("redis")), (Some(3.0), Some(0.75), None));
        assert_eq!(used.total(), 3.75);
    }
}
