//! The checks can fail: each broken rule of exactness is found, and soon.

use countree_sim::{Broken, Fault, Flaw, Promise, Setting, run};

/// Leaves leave all the time.
const LEAVING: [Fault; 5] =
    [Fault::LeafDrained, Fault::LeafDrained, Fault::LeafJoined, Fault::LeafKilled, Fault::Isolation];

/// The last leaf leaves, too.
const LAST: [Fault; 1] = [Fault::LeafDrained];

/// Leaves lose their folders.
const LOSING: [Fault; 3] = [Fault::LeafFolderLost, Fault::LeafFolderRestored, Fault::LeafKilled];

/// Leaves go back to older copies of their folders while producers have no answer.
const RESTORING: [Fault; 3] = [Fault::LeafFolderRestored, Fault::OneWayPartition, Fault::LeafKilled];

/// Leaves that were about to leave come back, and are away for longer than their lease later on.
const RETURNING: [Fault; 8] = [
    Fault::LeafDrained,
    Fault::LeafKilled,
    Fault::LeafPowerCut,
    Fault::LeafPaused,
    Fault::Partition,
    Fault::OneWayPartition,
    Fault::Isolation,
    Fault::LeafJoined,
];

/// Stores are replaced while viewers move between nodes that lag.
const REPLACING: [Fault; 6] = [
    Fault::StoreReplaced,
    Fault::StoreReplaced,
    Fault::StoreRollback,
    Fault::ViewerMoved,
    Fault::ViewerMoved,
    Fault::BroadcastPaused,
];

/// The store is emptied while leaves and roots die.
const EMPTIED: [Fault; 4] =
    [Fault::StoreEmptied, Fault::LeafKilled, Fault::RootCrash, Fault::BrokenConnection];

/// Another store stands in the store's place for a while.
const EXCHANGED: [Fault; 3] = [Fault::StoreExchanged, Fault::LeafKilled, Fault::BrokenConnection];

/// The operator starts the roots on another store for a while.
const MISLED: [Fault; 3] = [Fault::RootsOnOtherStore, Fault::LeafKilled, Fault::BrokenConnection];
/// The same, under clocks that are stepped: then readers come who wait for all that was acked.
const MISLED_READERS: [Fault; 3] = [Fault::RootsOnOtherStore, Fault::ClockStepped, Fault::ViewerCrash];
/// Stores are replaced by older copies all the time.
const SWAPPING: [Fault; 4] =
    [Fault::StoreReplaced, Fault::StoreReplaced, Fault::StoreReplaced, Fault::StoreRollback];

/// Clocks are stepped.
const STEPPED: [Fault; 3] = [Fault::ClockStepped, Fault::LeafKilled, Fault::BrokenConnection];

/// Clocks are stepped while leaves come and go.
const STEPPED_AND_LEAVING: [Fault; 6] = [
    Fault::ClockStepped,
    Fault::ClockStepped,
    Fault::LeafDrained,
    Fault::LeafDrained,
    Fault::LeafJoined,
    Fault::LeafKilled,
];

/// The store forgets all the time.
const FALLING_BACK: [Fault; 3] = [Fault::StoreRollback, Fault::StoreRollback, Fault::BrokenConnection];

/// The first broken promise of `promises` under a flaw, over some seeds; with `kinds` of faults alone, if there are
/// any, for `longer` than usual.
fn found(flaw: Flaw, kinds: &[Fault], longer: u32, seeds: u64, promises: &[Promise]) -> Option<Broken> {
    let setting = Setting { flaw: Some(flaw), kinds: kinds.to_vec(), longer, ..Setting::default() };
    (0..seeds).filter_map(|seed| run(seed, &setting).broken).find(|broken| promises.contains(&broken.promise))
}

macro_rules! is_found {
    ($(
        $name:ident: $flaw:ident $(where $kinds:ident)? $(for $longer:literal times as long)?
            within $seeds:literal, $($promise:ident)|+;
    )*) => {
        $(
            #[test]
            fn $name() {
                let kinds = [&[] as &[Fault], $(&$kinds)?].concat();
                let longer = [1u32, $($longer)?].into_iter().product();
                let promises = [$(Promise::$promise),+];
                assert!(found(Flaw::$flaw, &kinds, longer, $seeds, &promises).is_some(), "in {} seeds", $seeds);
            }
        )*

        #[test]
        fn every_flaw_has_its_test() {
            let tested = [$(Flaw::$flaw),*];
            assert!(Flaw::ALL.iter().all(|flaw| tested.contains(flaw)));
        }
    };
}

// Each limit is at least twice as many seeds as the flaw took in the worst of four stretches of them.
is_found! {
    a_store_that_merges_forward: MergesForward within 50, Exact | Balanced;
    a_store_that_forgets_totals_without_lsns: SplitRollback within 50, Exact | Balanced;
    a_store_that_calls_merges_durable_too_early: EarlyTrim within 100, Exact | Balanced;
    a_disk_that_calls_bytes_durable_too_early: EarlyDurable within 50, Exact | Balanced | Orderly | Truthful;
    a_leaf_that_acks_before_its_disk_has_the_batch: EarlyAck within 100, Exact | Truthful | Orderly;
    a_leaf_that_merges_before_its_disk_has_the_records: EarlyMerge within 50, Exact | Balanced | Orderly | Shown;
    a_disk_that_is_believed_after_a_failed_fsync: RetriedFsync within 100, Exact | Balanced | Orderly | Truthful;
    a_leaf_that_forgets_its_sessions: ForgottenSessions within 20, Truthful;
    a_leaf_that_forgets_its_streams: ForgottenStreams within 50, Exact | Balanced;
    a_leaf_that_builds_on_records_that_are_not_on_disk: UnsyncedRecovery within 3000, Exact | Balanced | Orderly | Truthful;
    a_batch_in_doubt_that_goes_to_another_leaf: MovedInDoubt within 10, Exact;
    a_repeat_that_is_counted_again: CountedRepeats within 50, Exact;
    a_session_that_is_opened_anew: ReopenedSessions within 100, Exact | Orderly;
    keys_that_nobody_is_asked_about: UnaskedKeys within 200, Exact | Truthful;
    a_leaf_that_forgets_its_keys: ForgottenKeys within 400, Exact | Truthful;
    keys_that_are_not_handed_over: UnhandedKeys where LEAVING within 400, Exact | Truthful;
    keys_that_go_with_the_disk_of_the_last_leaf: DiscardedKeys where LAST within 400, Exact | Settled;
    keys_that_a_leaving_leaf_denies: DeniedKeys where LAST within 400, Exact | Truthful;
    a_log_that_nobody_compares: UncomparedLogs where LOSING within 400, Exact | Balanced | Truthful;
    sessions_of_an_older_copy: TrustedCopies where RESTORING within 400, Exact | Truthful | Orderly;
    a_table_of_sessions_that_is_not_published: UnpublishedSessions where LEAVING within 400, Exact | Truthful;
    a_leaf_that_forgets_its_seal: ForgottenSeal where RETURNING for 3 times as long
        within 1000, Exact;
    a_note_that_is_taken_for_a_use: CountedNotes within 400, Exact | Truthful;
    a_note_that_nobody_follows: UnfollowedNotes within 400, Exact | Truthful;
    a_leaf_that_forgets_its_notes: ForgottenNotes within 2000, Exact | Truthful;
    a_leaf_that_forgets_what_keys_were_used_for: ForgottenContent within 400, Truthful;
    topics_that_nobody_asks_about: UnaskedTopics within 400, Exact | Balanced;
    a_log_that_is_not_read_back: BlindReadBack within 50, Exact | Balanced | Shown;
    a_reset_that_does_not_wait: HastyReset within 1000, Exact;
    a_reset_of_totals_that_the_store_went_back_to: ResetOfAnyVersion where FALLING_BACK within 2000, Exact;
    a_forget_that_comes_late: ForgetAtAnyVersion within 1000, Exact;
    a_forgotten_topic_without_positions: ForgottenPositions within 1000, Exact | Balanced;
    a_forgotten_topic_whose_versions_begin_anew: ForgottenVersions within 1000, Shown | Orderly;
    a_tombstone_that_is_dropped: DroppedTombstones within 1000, Exact | Balanced;
    a_leaf_that_calls_too_much_complete: HastyEcho within 20, Shown;
    a_leaf_that_does_not_ask_a_new_process_of_the_store: UnconfirmedEras where FALLING_BACK within 400, Shown;
    totals_that_are_called_complete_by_what_was_said_of_another_era: CompleteInAnyEra where FALLING_BACK
        within 400, Shown;
    a_root_that_stamps_by_its_wall_clock: StampedByWallClock where STEPPED within 100, Shown;
    a_store_that_fell_back_and_does_not_say_so: LastingEra within 500, Shown;
    a_store_that_takes_an_era_again_that_had_its_end: RevivedEras where SWAPPING within 1000, Shown;
    a_viewer_that_ignores_lower_eras: HighestEraWins where REPLACING within 100, Shown;
    a_viewer_that_does_not_say_what_it_shows: UntoldEras where REPLACING within 400, Shown;
    a_leaf_that_ages_keys_by_its_wall_clock: LeafAgedByWallClock where STEPPED within 50, Exact | Truthful;
    a_registry_that_is_aged_by_wall_clocks: RegistryAgedByWallClock where STEPPED_AND_LEAVING within 200, Exact | Truthful;
    a_reader_who_goes_by_wall_clocks: CompleteByWallClock where STEPPED within 50, Shown;
    a_broadcast_node_whose_streams_lose_bytes: LossyStreams within 10, Shown | Orderly;
    roots_that_merge_into_whatever_store_there_is: UnfencedRoots where EXCHANGED within 100, Exact | Truthful | Shown | Balanced;
    roots_that_take_cuts_of_another_stores_leaves: UnboundFolders where MISLED within 100, Exact | Truthful | Shown | Balanced;
    roots_that_answer_nodes_of_another_store: AnsweredStrangers where MISLED_READERS within 100, Shown;
    a_store_that_was_emptied_and_does_not_say_so: UnmarkedLosses where EMPTIED within 20, Balanced;
    an_audit_that_believes_leaves: TrustingAudit within 10, Balanced;
}
