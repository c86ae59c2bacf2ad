use super::*;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};

const DRAWS: u32 = 2_000_000;

fn draw(ranks: u32, exponent: f64) -> Vec<u32> {
    let zipf = Zipf::new(ranks, exponent);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(7);
    let mut counts = vec![0; ranks as usize];
    (0..DRAWS).for_each(|_| counts[zipf.rank(random.next_u64()) as usize] += 1);
    counts
}

#[test]
fn draws_follow_the_law() {
    for (ranks, exponent) in [(1, 1.0), (2, 3.0), (100, 0.0), (1_000, 0.5), (1_000, 1.0), (1_000, 1.2)] {
        let counts = draw(ranks, exponent);
        let chi_square: f64 = counts
            .iter()
            .zip(shares(ranks, exponent))
            .map(|(&count, share)| {
                let expected = share * f64::from(DRAWS);
                (f64::from(count) - expected).powi(2) / expected
            })
            .sum();
        // Its mean is the degrees of freedom and its variance twice that; five deviations are generous.
        let freedom = f64::from(ranks - 1);
        let bound = freedom + 5.0 * (2.0 * freedom).sqrt();
        assert!(chi_square <= bound, "{ranks} ranks, s = {exponent}: {chi_square} > {bound}");
    }
}

#[test]
fn every_rank_can_be_drawn_and_no_other() {
    for ranks in [1, 2, 3, 7, 64] {
        let zipf = Zipf::new(ranks, 0.0);
        assert!(zipf.rank(u64::MAX) < ranks);
        assert!(zipf.rank(0) < ranks);
        assert!(draw(ranks, 0.0).iter().all(|&count| count > 0));
    }
}

#[test]
fn shares_sum_to_one_even_when_there_are_millions() {
    let sum: f64 = shares(4 << 20, 1.0).sum();
    assert!((sum - 1.0).abs() < 1e-9, "{sum}");
}
