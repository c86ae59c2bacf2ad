use super::super::layout::NAMES;
use super::*;
use countree_common::key::{Item, Kind};

/// The sum of a counter; some names are the beginning of others.
fn sum(number: u32) -> CounterSum {
    let item = Item::new(&format!("{:b}", number + 1)).unwrap();
    CounterSum { item, kind: Kind::new("like").unwrap(), delta: 1 }
}

fn numbers(sums: impl IntoIterator<Item = CounterSum>) -> Numbers {
    let mut numbers = Numbers::default();
    for sum in sums {
        let mut name = Vec::new();
        pack(&sum.item, &sum.kind, &mut name);
        numbers.push(&name);
    }
    numbers
}

fn topic(number: u32) -> Topic {
    Topic::new(&number.to_string()).unwrap()
}

/// A file without names, to look into for what is not held.
fn with_no_names(test: impl FnOnce(&Table<'_, u64, &'static [u8]>)) {
    let backend = redb::backends::InMemoryBackend::new();
    let database = redb::Database::builder().create_with_backend(backend).unwrap();
    let transaction = database.begin_write().unwrap();
    test(&transaction.open_table(NAMES).unwrap());
}

#[test]
fn counters_are_numbered_in_the_order_of_arrival_and_found_by_name() {
    let numbers = numbers((0..3_000).map(sum));
    assert_eq!(numbers.len(), 3_000);
    // The last few have no number.
    let all: Vec<_> = (0..3_010).map(sum).collect();
    let mut found = Vec::new();
    all.chunks(NEAR).for_each(|some| numbers.find_all(some, |number| found.push(number)));
    let expected: Vec<_> = (0..3_010).map(|number| (number < 3_000).then_some(number)).collect();
    assert_eq!(found, expected);
}

#[test]
fn what_is_put_back_is_held_and_the_longest_unused_is_dropped() {
    with_no_names(|names| {
        let mut index = Index::new(10 * (TOPIC_WEIGHT + 100));
        for n in 0..100 {
            index.put(topic(n), numbers((0..100).map(sum)));
            // This one is used all the time.
            let used = index.take(&topic(0), 0, names).unwrap();
            assert_eq!(used.len(), 100, "after {n} others");
            index.put(topic(0), used);
            let (_, young, old) = index.0.halves();
            assert!(young.len() + old.len() <= 13);
        }
        assert_eq!(index.take(&topic(1), 1, names).unwrap().len(), 0);
        index.clear();
        assert_eq!(index.take(&topic(0), 0, names).unwrap().len(), 0);
    });
}

#[test]
fn a_topic_larger_than_the_index_is_held_until_another_comes() {
    with_no_names(|names| {
        let mut index = Index::new(10);
        index.put(topic(0), numbers((0..100).map(sum)));
        assert_eq!(index.take(&topic(0), 0, names).unwrap().len(), 100);
    });
}
