use super::*;

#[test]
fn the_heaviest_key_is_found_among_any_number_of_light_ones() {
    for hot_first in [true, false] {
        let mut heaviest = HeavyHitters::new(8);
        let hot = |heaviest: &mut HeavyHitters<u64>| (0..1_000).for_each(|_| heaviest.add(0, 1));
        let light = |heaviest: &mut HeavyHitters<u64>| (1..=5_000).for_each(|key| heaviest.add(key, 1));
        if hot_first {
            hot(&mut heaviest);
            light(&mut heaviest);
        } else {
            light(&mut heaviest);
            hot(&mut heaviest);
        }
        assert!(heaviest.counts.len() <= 8);
        assert_eq!(heaviest.take_heaviest(1), [(0, 1_000)]);
    }
}

#[test]
fn no_key_is_said_to_weigh_more_than_it_does() {
    let mut heaviest = HeavyHitters::new(4);
    (0..1_000u64).for_each(|i| heaviest.add(i % 10, i % 7 + 1));
    let weight = |key: u64| (0..1_000u64).filter(|i| i % 10 == key).map(|i| i % 7 + 1).sum::<u64>();
    for (key, least) in heaviest.take_heaviest(4) {
        assert!(least <= weight(key), "{key} weighs {} and not {least}", weight(key));
    }
    assert_eq!(heaviest.take_heaviest(4), [], "it begins anew");
}
