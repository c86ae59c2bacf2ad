use super::super::layout::NAMES;
use super::*;

fn numbers(names: impl IntoIterator<Item = String>) -> Numbers {
    let mut numbers = Numbers::default();
    names.into_iter().for_each(|name| numbers.push(name.as_bytes()));
    numbers
}

fn name(number: u32) -> String {
    // Some are the beginning of others.
    format!("{:b}", number + 1)
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
    let numbers = numbers((0..3_000).map(name));
    assert_eq!(numbers.len(), 3_000);
    for number in 0..3_000 {
        assert_eq!(numbers.find(name(number).as_bytes()), Some(number));
    }
    assert_eq!(numbers.find(name(3_000).as_bytes()), None);
    assert_eq!(numbers.find(b""), None);
}

#[test]
fn what_is_put_back_is_held_and_the_longest_unused_is_dropped() {
    with_no_names(|names| {
        let mut index = Index::new(10 * (TOPIC_WEIGHT + 100));
        for n in 0..100 {
            index.put(topic(n), numbers((0..100).map(name)));
            // This one is used all the time.
            let used = index.take(&topic(0), 0, names).unwrap();
            assert_eq!(used.len(), 100, "after {n} others");
            index.put(topic(0), used);
            assert!(index.young.len() + index.old.len() <= 13);
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
        index.put(topic(0), numbers((0..100).map(name)));
        assert_eq!(index.take(&topic(0), 0, names).unwrap().len(), 100);
    });
}
