use super::*;

#[test]
fn names_have_one_byte_to_their_limit() {
    assert!(Topic::new("").is_err());
    assert!(Topic::new(&"t".repeat(limits::TOPIC_BYTES)).is_ok());
    assert!(Topic::new(&"t".repeat(limits::TOPIC_BYTES + 1)).is_err());
    assert!(Kind::new(&"é".repeat(16)).is_ok());
    assert_eq!(
        Kind::new(&"é".repeat(17)),
        Err(NameError::TooLong { what: "kind", bytes: 34, max: 32 }),
        "limits count bytes, not characters"
    );
}

#[test]
fn names_are_utf8() {
    assert_eq!(Item::from_utf8(&[0xff, 0xfe]), Err(NameError::NotUtf8 { what: "item" }));
}

#[test]
fn deserializing_checks_too() {
    assert!(serde_json::from_str::<Kind>(r#""like""#).is_ok());
    assert!(serde_json::from_str::<Kind>(r#""""#).is_err());
}
