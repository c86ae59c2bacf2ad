use super::*;
use std::collections::BTreeSet;

fn packed(item: &str, kind: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    pack(&Item::new(item).unwrap(), &Kind::new(kind).unwrap(), &mut bytes);
    bytes
}

#[test]
fn a_name_tells_what_it_was_made_of() {
    for (item, kind) in [("i", "k"), ("\u{10ffff}", "like"), ("c d", "e f"), ("ärger", "views")] {
        let (found_item, found_kind) = unpack(&packed(item, kind)).unwrap();
        assert_eq!((found_item.as_str(), found_kind.as_str()), (item, kind));
    }
}

#[test]
fn names_that_run_into_one_another_stay_apart() {
    let all = [("bc", "d"), ("c", "d"), ("b", "cd"), ("b", "c"), ("bcd", "d")];
    let names: BTreeSet<_> = all.map(|(item, kind)| packed(item, kind)).into();
    assert_eq!(names.len(), all.len());
}

#[test]
fn what_is_no_name_names_nobody() {
    for bytes in [&b""[..], b"item", b"\xffkind", b"item\xff", b"\x80\xffkind", b"item\xff\x80"] {
        assert!(unpack(bytes).is_err(), "{bytes:?}");
    }
}
