//! Order of eras. Their numbers alone don't say which of two is the later one: a store that was wiped, or
//! replaced by an older copy, under a clock that has stepped back, serves in a lower era than the one before
//! it.
//!
//! A holder of a topic takes another era only from a source that is known to have sent it, or to have been
//! asked, after the held era was taken. A source that lags behind, and still sends the era before, does not
//! qualify.

/// The distance between the first eras of two processes of a store. A process uses the eras between for
/// documents that went back in time while it served; no other process serves in them.
pub const GAP: u64 = 256;

/// Whether an era is of the process of a store that began with `process`.
pub fn is_of(process: u64, era: u64) -> bool {
    era.checked_sub(process).is_some_and(|after| after < GAP)
}

/// The sequence of eras that a holder of a topic has gone through.
#[derive(Debug, Clone, Copy, Default)]
pub struct Eras {
    /// Their number; 0 at first.
    turns: u64,
}

/// The position of one source in the holder's sequence of eras: its next messages, in order, are from after
/// that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceEra(u64);

/// The order of a source's era and the held one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EraOrder {
    /// The held era: version numbers decide.
    Same,
    /// A later era, or the first: it replaces everything.
    Next,
    /// Unknown: the era is not to be taken, and this source, or another, has to be asked now.
    Unclear,
}

impl Eras {
    /// The position of a source that is asked now: its answer is from after the held era was taken.
    pub fn ask(&self) -> SourceEra {
        SourceEra(self.turns)
    }

    /// Compares the era of a source's message with the `held` one.
    pub fn judge(&mut self, source: &mut SourceEra, held: Option<u64>, era: u64) -> EraOrder {
        let word = match held {
            // A store that has nothing of a topic looks the same each time, so this one may be long past.
            Some(0) if era == 0 => return EraOrder::Same,
            Some(held) if held == era => EraOrder::Same,
            Some(_) if source.0 != self.turns => return EraOrder::Unclear,
            _ => {
                self.turns += 1;
                EraOrder::Next
            }
        };
        source.0 = self.turns;
        word
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_in_order_is_followed_up_and_down() {
        let mut eras = Eras::default();
        let mut source = eras.ask();
        assert_eq!(eras.judge(&mut source, None, 7), EraOrder::Next);
        assert_eq!(eras.judge(&mut source, Some(7), 7), EraOrder::Same);
        assert_eq!(eras.judge(&mut source, Some(7), 9), EraOrder::Next);
        assert_eq!(eras.judge(&mut source, Some(9), 3), EraOrder::Next, "a lower era may be the later one");
    }

    #[test]
    fn a_source_that_says_that_nothing_is_left_may_mean_an_earlier_time() {
        let mut eras = Eras::default();
        let (mut quick, mut slow) = (eras.ask(), eras.ask());
        for era in [7, 0, 9, 0] {
            let held = eras.turns.checked_sub(1).map(|turn| [7, 0, 9][turn as usize]);
            assert_eq!(eras.judge(&mut quick, held, era), EraOrder::Next);
        }
        let mut asked_since = eras.ask();
        assert_eq!(eras.judge(&mut slow, Some(0), 0), EraOrder::Same, "after the first, or after the second");
        assert_eq!(eras.judge(&mut slow, Some(0), 9), EraOrder::Unclear);
        assert_eq!(eras.judge(&mut asked_since, Some(0), 0), EraOrder::Same);
        assert_eq!(eras.judge(&mut asked_since, Some(0), 11), EraOrder::Next);
    }

    #[test]
    fn a_process_has_eras_of_its_own() {
        assert!(is_of(512, 512) && is_of(512, 767));
        assert!(!is_of(512, 511) && !is_of(512, 768) && !is_of(512, 0) && !is_of(512, u64::MAX));
    }

    #[test]
    fn a_source_that_lags_changes_nothing_until_it_has_caught_up() {
        let mut eras = Eras::default();
        let (mut quick, mut slow) = (eras.ask(), eras.ask());
        assert_eq!(eras.judge(&mut quick, None, 7), EraOrder::Next);
        assert_eq!(eras.judge(&mut slow, Some(7), 7), EraOrder::Same);
        assert_eq!(eras.judge(&mut quick, Some(7), 3), EraOrder::Next);
        assert_eq!(eras.judge(&mut slow, Some(3), 7), EraOrder::Unclear);
        let mut asked_since = eras.ask();
        assert_eq!(eras.judge(&mut slow, Some(3), 3), EraOrder::Same);
        assert_eq!(eras.judge(&mut slow, Some(3), 5), EraOrder::Next);
        assert_eq!(
            eras.judge(&mut asked_since, Some(5), 3),
            EraOrder::Unclear,
            "which was asked before 5 came"
        );
    }
}
