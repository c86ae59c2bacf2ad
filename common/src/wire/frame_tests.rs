use super::*;

#[test]
fn frames_survive_any_fragmentation() {
    let mut bytes = Vec::new();
    put(FrameKind::Message, b"one", &mut bytes);
    put(FrameKind::Batch, b"", &mut bytes);
    put(FrameKind::Message, &[7; 300], &mut bytes);
    for piece in 1..bytes.len() {
        let mut reader = FrameReader::new(1_000);
        let mut bodies = Vec::new();
        for chunk in bytes.chunks(piece) {
            reader.push(chunk);
            while let Some(frame) = reader.next_frame().unwrap() {
                bodies.push(frame.body.len());
            }
        }
        assert_eq!(bodies, [3, 0, 300], "in pieces of {piece}");
        assert!(!reader.is_mid_frame());
    }
}

#[test]
fn a_frame_that_claims_four_gigabytes_is_refused_from_its_header() {
    let mut reader = FrameReader::new(1_000);
    reader.push(&[0xff, 0xff, 0xff, 0xff]);
    assert!(matches!(reader.next_frame(), Err(FrameError::TooLong { limit: 1_000, .. })));
}

#[test]
fn unknown_kinds_and_empty_frames_are_refused() {
    let mut reader = FrameReader::new(1_000);
    reader.push(&[2, 0, 0, 0, 99, 0]);
    assert_eq!(reader.next_frame(), Err(FrameError::UnknownKind(99)));
    let mut reader = FrameReader::new(1_000);
    reader.push(&[0, 0, 0, 0]);
    assert_eq!(reader.next_frame(), Err(FrameError::Empty));
}
