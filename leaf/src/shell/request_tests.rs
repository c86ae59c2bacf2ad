use super::*;

fn code(body: &str) -> (EventErrorCode, Option<u32>) {
    let e = Parsed::read(body.as_bytes()).expect_err(body);
    (e.code, e.index)
}

const GOOD: &str = r#"{"topic":"t","item":"i","kind":"like","delta":2}"#;

#[test]
fn one_event_an_array_and_lines_are_read() {
    for (body, events) in [
        (GOOD.to_owned(), 1),
        (format!("[{GOOD},{GOOD}]"), 2),
        (format!("{GOOD}\n{GOOD}\n{GOOD}\n"), 3),
        (r#" {"topic":"t","item":"i","kind":"k"}"#.to_owned(), 1),
        (format!("\u{feff}{GOOD}\n{GOOD}"), 2),
        (format!("\u{feff}[{GOOD}]"), 1),
    ] {
        assert_eq!(Parsed::read(body.as_bytes()).unwrap().events.len(), events, "{body}");
    }
}

#[test]
fn bad_input_is_refused_whole_with_the_index() {
    use EventErrorCode::{BadDelta, BadName, Malformed};
    let event = |field: &str| format!(r#"{{"topic":"t","item":"i","kind":"k",{field}}}"#);
    assert_eq!(code(""), (Malformed, None));
    assert_eq!(code("[]"), (Malformed, None));
    assert_eq!(code(&format!("[{GOOD},{GOOD},{{\"topic\"]")), (Malformed, Some(2)));
    assert_eq!(code(&format!("[{GOOD}] x")), (Malformed, Some(1)));
    assert_eq!(code(&format!("{GOOD}\nnot json")), (Malformed, Some(1)));
    assert_eq!(code(&event(r#""delta":0"#)), (BadDelta, Some(0)));
    assert_eq!(code(&event(r#""delta":1.5"#)), (Malformed, Some(0)));
    assert_eq!(code(&event(r#""delta":9223372036854775808"#)), (Malformed, Some(0)));
    assert_eq!(code(&event(r#""delta":9223372036854775807"#)), (BadDelta, Some(0)));
    assert_eq!(code(&event(r#""delta":9007199254740992"#)), (BadDelta, Some(0)));
    assert!(Parsed::read(event(r#""delta":9007199254740991"#).as_bytes()).is_ok());
    assert_eq!(code(&event(r#""colour":"red""#)), (Malformed, Some(0)));
    assert_eq!(code(r#"{"topic":"","item":"i","kind":"k"}"#), (BadName, Some(0)));
    assert_eq!(code(&event(r#""id":"""#)), (BadName, Some(0)));
    assert!(Parsed::read(b"{\"topic\":\"\xff\",\"item\":\"i\",\"kind\":\"k\"}").is_err());
}

#[test]
fn too_many_events_are_too_large() {
    let body = format!("{GOOD}\n").repeat(limits::HTTP_EVENTS + 1);
    assert_eq!(code(&body).0, EventErrorCode::TooLarge);
}
