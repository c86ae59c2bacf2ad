//! The checks can fail: each broken rule of exactness is found, and soon.

use countree_sim::{Flaw, Setting, run};

/// What the first seed that finds the flaw says.
fn found(flaw: Flaw, seeds: u64) -> String {
    let setting = Setting { flaw: Some(flaw), ..Setting::default() };
    (0..seeds).find_map(|seed| run(seed, &setting).broken).unwrap_or_default()
}

macro_rules! is_found {
    ($($name:ident: $flaw:ident within $seeds:literal, $($says:literal)|+;)*) => {$(
        #[test]
        fn $name() {
            let says = found(Flaw::$flaw, $seeds);
            assert!([$($says),+].iter().any(|part| says.contains(part)), "{} in {} seeds: '{says}'", Flaw::$flaw, $seeds);
        }
    )*};
}

is_found! {
    a_store_that_merges_forward: MergesForward within 50, "counted" | "different numbers";
    a_store_that_forgets_totals_without_lsns: SplitRollback within 50, "counted" | "different numbers" | "lost";
    a_store_that_calls_merges_durable_too_early: EarlyTrim within 100, "counted" | "lost" | "ledgers";
    a_disk_that_calls_bytes_durable_too_early: EarlyDurable within 50, "counted" | "start" | "missing";
    a_leaf_that_forgets_its_sessions: ForgottenSessions within 20, "had not given up";
    a_leaf_that_forgets_its_streams: ForgottenStreams within 50, "counted";
    a_leaf_that_builds_on_records_that_are_not_on_disk: UnsyncedRecovery within 400, "counted" | "start" | "ledgers" | "missing";
    a_batch_in_doubt_that_goes_to_another_leaf: MovedInDoubt within 10, "counted";
    a_broadcast_node_whose_streams_lose_bytes: LossyStreams within 10, "viewer";
}
