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

#[test]
fn clocks_that_are_stepped_change_nothing() {
    let kinds =
        [Fault::ClockStepped, Fault::ClockStepped, Fault::LeafKilled, Fault::LeafDrained, Fault::RootCrash];
    let setting = Setting { kinds: kinds.to_vec(), ..Setting::default() };
    let mut stepped = 0;
    for seed in 0..40 {
        let run = run(seed, &setting);
        assert_eq!(run.broken, None, "seed {seed}");
        stepped += run.tally.of(Fault::ClockStepped);
    }
    assert!(stepped > 100, "{stepped}");
}

#[test]
fn stores_that_are_emptied_or_exchanged_are_noticed_and_what_logs_hold_is_counted() {
    for (kind, least) in
        [(Fault::StoreEmptied, 50), (Fault::StoreExchanged, 20), (Fault::RootsOnOtherStore, 20)]
    {
        let kinds = [kind, Fault::LeafKilled, Fault::LeafPowerCut, Fault::RootCrash, Fault::BrokenConnection];
        let setting = Setting { kinds: kinds.to_vec(), ..Setting::default() };
        let mut injected = 0;
        for seed in 0..30 {
            let run = run(seed, &setting);
            assert_eq!(run.broken, None, "seed {seed}, {kind}");
            injected += run.tally.of(kind);
        }
        assert!(injected > least, "{kind}: {injected}");
    }
}
