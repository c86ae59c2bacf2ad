//! Encodes events in totals, so that a total tells which events are in it: the events of a counter are worth ±8⁰, ±8¹,
//! ±8² …; each digit of a total, in base 8, says how often one event is in it.

/// Events of one counter; 8¹¹ is well within every limit.
pub(crate) const EVENTS: usize = 12;
const BASE: i64 = 8;
/// Digits run from −3 to 4: an event that was taken away once too often shows, like one that was counted twice.
const LEAST: i64 = -3;

/// The amount that an event adds, without its sign.
pub(crate) fn worth(digit: usize) -> i64 {
    BASE.pow(digit as u32)
}

/// The digits of a total; `None` when no events add up to it.
pub(crate) fn digits(total: i64) -> Option<[i64; EVENTS]> {
    let (mut digits, mut rest) = ([0; EVENTS], total);
    for digit in &mut digits {
        *digit = (rest - LEAST).rem_euclid(BASE) + LEAST;
        rest = (rest - *digit) / BASE;
    }
    (rest == 0).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_tells_how_often_each_event_is_in_it() {
        let times = [1, 0, -1, 2, 4, -3, 0, 1, 1, 0, -1, 1];
        let total = times.iter().enumerate().map(|(digit, times)| times * worth(digit)).sum();
        assert_eq!(digits(total), Some(times));
        assert_eq!(digits(0), Some([0; EVENTS]));
        assert_eq!(digits(5 * worth(EVENTS - 1)), None);
    }
}
