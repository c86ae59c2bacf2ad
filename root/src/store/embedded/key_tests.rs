use super::*;

fn names(topic: &str, item: &str, kind: &str) -> (Topic, Item, Kind) {
    (Topic::new(topic).unwrap(), Item::new(item).unwrap(), Kind::new(kind).unwrap())
}

#[test]
fn a_key_tells_the_names_that_it_was_made_of() {
    for (topic, item, kind) in [("t", "i", "k"), ("ärger", "\u{10ffff}", "like"), ("a b", "c d", "e f")] {
        let (topic, item, kind) = names(topic, item, kind);
        let mut keys = TotalKey::of_topic(&topic);
        let key = keys.of(&item, &kind).to_vec();
        assert_eq!(keys.counter(&key), Some(Ok((item, kind))));
        assert!(keys.first() < key.as_slice());
    }
}

#[test]
fn names_that_run_into_one_another_have_keys_of_their_own() {
    let all = [("a", "bc", "d"), ("ab", "c", "d"), ("a", "b", "cd"), ("abc", "d", "d"), ("a", "b", "c")];
    let key = |(topic, item, kind)| {
        let (topic, item, kind) = names(topic, item, kind);
        TotalKey::of_topic(&topic).of(&item, &kind).to_vec()
    };
    let keys: std::collections::BTreeSet<_> = all.map(key).into();
    assert_eq!(keys.len(), all.len());
    let of_a = TotalKey::of_topic(&Topic::new("a").unwrap());
    assert_eq!(keys.iter().filter(|key| of_a.counter(key).is_some()).count(), 3);
}

#[test]
fn what_is_no_key_names_nothing() {
    let keys = TotalKey::of_topic(&Topic::new("t").unwrap());
    for bytes in [&b"t\xff"[..], b"t\xffitem", b"t\xff\xffkind", b"t\xffitem\xff", b"t\xff\x80\xffkind"] {
        assert!(matches!(keys.counter(bytes), Some(Err(_))), "{bytes:?}");
    }
    assert_eq!(keys.counter(b"tt\xffitem\xffkind"), None);
}
