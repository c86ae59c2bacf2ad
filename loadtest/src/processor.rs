//! How much processor time a process has used, from Linux's `/proc`.

use countree_common::shell::failure::Failure;

/// User and system time of a process and all its threads so far, in seconds, to a tick of the kernel's
/// clock (10 ms).
///
/// # Errors
/// When the process is gone, or this is not Linux.
pub(crate) fn seconds(process: &str) -> Result<f64, Failure> {
    let path = format!("/proc/{process}/stat");
    let stat = std::fs::read_to_string(&path).map_err(|e| Failure::failed(format!("{path}: {e}")))?;
    let ticks = ticks(&stat).ok_or_else(|| Failure::failed(format!("{path} is not of its form")))?;
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// What was used between two readings, without the digits that are below any tick.
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
    }
}
