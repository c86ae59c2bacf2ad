//! Hundreds of short lives of a leaf among failures; each must end with every acked event counted once.

use crate::testing::World;

const SEEDS: u64 = 300;
const STEPS: usize = 300;

#[test]
fn every_acked_event_is_counted_once_whatever_fails() {
    let (mut crashes, mut went_back, mut leaves) = (0, 0, 0);
    for seed in 1..=SEEDS {
        let result = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            (0..STEPS).for_each(|_| world.step());
            world.calm_down();
            world.verify();
            (world.crashes, world.went_back(), world.leaves)
        });
        let (of_crashes, of_going_back, of_leaves) =
            result.unwrap_or_else(|_| panic!("seed {seed} went wrong"));
        crashes += of_crashes;
        went_back += of_going_back;
        leaves += of_leaves;
    }
    assert!(
        crashes > SEEDS as u32 / 2 && went_back > SEEDS as u32 / 4 && leaves > SEEDS as u32 / 4,
        "{crashes} crashes, {went_back} times back, {leaves} leaves"
    );
}
