use super::*;

fn generations() -> Generations<u32, usize> {
    Generations::new(8, |weight| *weight)
}

#[test]
fn entries_that_were_not_put_in_for_longest_are_forgotten() {
    let mut held = generations();
    for key in 0..8 {
        held.put_light(key, 2);
    }
    let kept: Vec<u32> = (0..8).filter(|key| held.get(key).is_some()).collect();
    assert_eq!(kept, [4, 5, 6, 7]);
}

#[test]
fn an_entry_that_is_heavier_than_a_half_is_held_or_not_as_the_caller_says() {
    let mut held = generations();
    held.put(1, 5);
    assert_eq!(held.get(&1), Some(&5));
    held.put_light(2, 5);
    assert_eq!(held.get(&2), None);
}

#[test]
fn what_was_taken_out_weighs_nothing() {
    let mut held = generations();
    for _ in 0..10 {
        held.put(1, 3);
        assert_eq!(held.take(&1), Some(3));
    }
    held.put(2, 4);
    held.put(3, 1);
    assert_eq!((held.get(&2), held.get(&3)), (Some(&4), Some(&1)), "none of the ten weighs on");
    held.clear();
    assert_eq!(held.get(&2), None);
}
