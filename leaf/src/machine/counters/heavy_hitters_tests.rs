use super::*;

#[test]
fn the_heaviest_key_is_found_among_any_number_of_light_ones() {
    for hot_first in [true, false] {
        let mut sketch = Sketch::new(8);
        let hot = |sketch: &mut Sketch<u64>| (0..1_000).for_each(|_| sketch.add(0, 1));
        let light = |sketch: &mut Sketch<u64>| (1..=5_000).for_each(|key| sketch.add(key, 1));
        if hot_first {
            hot(&mut sketch);
            light(&mut sketch);
        } else {
            light(&mut sketch);
            hot(&mut sketch);
        }
        assert!(sketch.counts.len() <= 8);
        assert_eq!(sketch.take_heaviest(1), [(0, 1_000)]);
    }
}

#[test]
fn no_key_is_said_to_weigh_more_than_it_does() {
    let mut sketch = Sketch::new(4);
    (0..1_000u64).for_each(|i| sketch.add(i % 10, i % 7 + 1));
    let weight = |key: u64| (0..1_000u64).filter(|i| i % 10 == key).map(|i| i % 7 + 1).sum::<u64>();
    for (key, least) in sketch.take_heaviest(4) {
        assert!(least <= weight(key), "{key} weighs {} and not {least}", weight(key));
    }
    assert_eq!(sketch.take_heaviest(4), [], "it begins anew");
}
