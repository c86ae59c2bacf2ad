//! A seed means one run: whatever it brings to light can be looked at again.

use countree_sim::{Setting, run};

fn digested() -> Setting {
    Setting { is_digested: true, ..Setting::default() }
}

#[test]
fn the_same_seed_is_the_same_run_twice() {
    for seed in 0..12 {
        let first = run(seed, &digested());
        assert_eq!(first, run(seed, &digested()));
        assert!(first.steps > 1_000, "{first:?}");
    }
}

#[test]
fn different_seeds_are_different_runs() {
    let trace = |seed| run(seed, &digested()).trace;
    assert_ne!(trace(1), trace(2));
}
