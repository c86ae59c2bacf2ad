//! Random clusters keep their promises, whatever goes wrong in them.

use countree_sim::{Fault, Series, Setting, Tally, run};

#[test]
fn fifty_clusters_keep_their_promises() {
    let (mut series, mut tally, mut acked, mut in_doubt) = (Series::default(), Tally::default(), 0, 0);
    for seed in 0..50 {
        let run = run(seed, &Setting::default());
        assert_eq!(run.broken, None, "seed {seed}");
        assert!(run.acked + run.in_doubt <= run.events, "seed {seed}");
        series.add(&run);
        tally.absorb(&run.tally);
        (acked, in_doubt) = (acked + run.acked, in_doubt + run.in_doubt);
    }
    // Runs in which little happens would keep every promise.
    assert!(acked > 5_000, "{series}");
    assert!(in_doubt > 0, "{series}");
    for fault in Fault::ALL {
        assert!(tally.of(fault) > 0, "no {fault:?} in {series}");
    }
}
