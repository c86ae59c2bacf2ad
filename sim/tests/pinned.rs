//! Runs that broke a promise once. A run changes with the messages of the cluster, so a test of the machines, which
//! does not change, pins each case, too.

use countree_sim::{Arguments, Broken, run};

/// The first promise that the runs of a command line break.
fn broken(line: &str) -> Result<Option<Broken>, String> {
    let arguments = Arguments::read(line.split_whitespace().map(str::to_owned))?;
    Ok(arguments.runs().find_map(|(seed, setting)| run(seed, &setting).broken))
}

/// Two leaves leave at overlapping times, each the other's successor of idempotency keys. The first hands back what it
/// was given, settles, loses its disk, and is back empty under its name; the second settles by a view from before.
#[test]
fn an_heir_that_left_and_is_back_under_its_name_knows_nothing() {
    assert_eq!(broken("--seed 101906 --kinds LeafDrained"), Ok(None));
}

/// The last leaf settles with nobody to take its keys, the answer is lost, and another joins: the disk has to stay.
#[test]
fn the_last_leaf_keeps_its_keys_though_another_has_joined_before_it_heard_so() {
    let line = "--seed 302561 --kinds \
                LeafDrained,LeafDrained,LeafJoined,OneWayPartition,Partition,Isolation,LeafPaused,SlowNetwork";
    assert_eq!(broken(line), Ok(None));
}

/// A viewer is shown late that the store has nothing of a topic. By then the topic was counted again and rolled back to
/// nothing again; what was counted in between is shown next, and in order.
#[test]
fn nothing_is_shown_of_a_topic_that_is_counted_again_and_rolled_back_again_before_the_viewer_receives() {
    assert_eq!(broken("--seed 12804113488424413303 --kinds StoreRollback"), Ok(None));
}

/// Two roots tell a broadcast node of a topic that the store has nothing of, twice in a row. One of them lags, and
/// speaks of the first time; what it says next is from before the second.
#[test]
fn a_root_that_lags_is_not_taken_to_have_caught_up_because_it_says_that_nothing_is_left() {
    assert_eq!(broken("--seed 20231 --kinds StoreRollback"), Ok(None));
}

/// A viewer was shown that the store has nothing of a topic any more, and moves to a node that lags and still holds it.
#[test]
fn a_viewer_that_knows_that_nothing_is_left_of_a_topic_is_not_shown_what_was() {
    let line = "--seed 213 --kinds StoreRollback,StoreReplaced,ViewerMoved --only-faults 10,11,12";
    assert_eq!(broken(line), Ok(None));
}

/// The last leaf leaves before it had any key, and its disk goes. The registry took it for one that keeps its keys,
/// found them lost when it was back, and had every repeat answered with 409 for a horizon.
#[test]
fn a_last_leaf_that_had_no_keys_has_not_lost_them_when_it_is_back_without_its_disk() {
    let line = "--seed 102 --kinds LeafDrained,LeafDrained,LeafKilled,LeafPaused,Isolation --longer 6 --only-faults 0,3";
    assert_eq!(broken(line), Ok(None));
    let line = "--seed 1000821 --kinds LeafFolderRestored,LeafDrained,LeafFolderLost,ProducerPaused,ProducerPaused,\
                DiskFull,LeafKilled --only-faults 0,1";
    assert_eq!(broken(line), Ok(None));
}

/// A leaf is killed while it leaves, all of its streams merged and retired, and is back on a copy from before its last
/// start. Sessions that are open in the copy went on in the stream that it lacks.
#[test]
fn a_leaf_that_was_killed_while_it_left_goes_on_with_no_session_of_an_older_copy() {
    let line = "--seed 1002509 --kinds LeafFolderRestored,LeafDrained,LeafFolderLost,ProducerPaused,ProducerPaused,\
                DiskFull,LeafKilled --only-faults 6,7,9,11,27,30,34 --no-background-faults";
    assert_eq!(broken(line), Ok(None));
}

/// A reset is acked, and its leaf's folder lost before its negatives are merged: what it took away is there again.
#[test]
fn a_reset_may_be_lost_with_the_folder_that_it_was_logged_in() {
    let line = "--seed 1003335 --kinds LeafFolderRestored,LeafDrained,LeafFolderLost,ProducerPaused,ProducerPaused,\
                DiskFull,LeafKilled --only-faults 1,2,4";
    assert_eq!(broken(line), Ok(None));
}

/// A join of a leaf arrives once more when its start is long in the view: the log that it speaks of ends before what
/// that start has come to. It was taken for a lost folder, and a leaf that left for one that has started again.
#[test]
fn a_join_that_arrives_again_takes_nobody_keys_and_holds_up_nobody_who_leaves() {
    let line = "--seed 98 --kinds LeafDrained,LeafDrained,LeafKilled,LeafPaused,Isolation --longer 6";
    assert_eq!(broken(line), Ok(None));
    let line = "--seed 1000220 --kinds ViewerMoved,BrokenConnection,FsyncFailed,StoreRollback,ViewerCrash,ViewerPaused \
                --only-faults 1";
    assert_eq!(broken(line), Ok(None));
}

/// The owner of an id goes by a view from before the leaf that it noted an attempt of had come. It took that leaf for
/// one that has left, and the id for a free one: both counted the event.
#[test]
fn an_id_is_not_free_because_the_leaf_that_tries_to_use_it_is_not_in_the_view_yet() {
    for line in [
        "--seed 16656815305711230427 --only-faults 0,3,5,6,7,10",
        "--seed 13990301187930537914 --only-faults 0,1,2,3,5,8",
        "--seed 5194262392892330824 --only-faults 0,2,3,4,5,6",
    ] {
        assert_eq!(broken(line), Ok(None), "{line}");
    }
}
