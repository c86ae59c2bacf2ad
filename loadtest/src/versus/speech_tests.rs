use super::*;

/// What a broker passes on of `message`.
fn passed_on(speech: Speech, message: &[u8]) -> Vec<u8> {
    match speech {
        Speech::Nats => [format!("MSG show 1 {}\r\n", message.len()).as_bytes(), message, b"\r\n"].concat(),
        Speech::Mqtt => speech.publish(message),
        Speech::WebSocket => [&[0x81, message.len() as u8], message].concat(),
    }
}

#[test]
fn messages_are_found_once_they_are_whole() {
    for speech in [Speech::Nats, Speech::Mqtt, Speech::WebSocket] {
        let (first, second) = (passed_on(speech, b"42 of them"), passed_on(speech, b"43"));
        let both = [first.clone(), second].concat();
        for end in 0..first.len() {
            assert_eq!(speech.message(&first[..end]).unwrap(), None, "{speech:?} {end}");
        }
        let (message, rest) = speech.message(&both).unwrap().unwrap();
        assert_eq!((&both[message], rest), (&b"42 of them"[..], first.len()), "{speech:?}");
        let (message, _) = speech.message(&both[rest..]).unwrap().unwrap();
        assert_eq!(&both[rest..][message], b"43", "{speech:?}");
    }
}

#[test]
fn what_is_no_message_is_refused() {
    assert!(Speech::Nats.message(b"-ERR 'Slow Consumer'\r\n").is_err());
    assert!(Speech::Mqtt.message(&[0x20, 2, 0, 5]).is_err());
    assert!(
        Speech::WebSocket.message(&[0x88, 126, 0, 0]).is_err() || Speech::WebSocket.message(b"HT").is_err()
    );
}

#[test]
fn lengths_fit_their_bytes() {
    let message = [b'x'; 100];
    for speech in [Speech::Nats, Speech::Mqtt, Speech::WebSocket] {
        let bytes = passed_on(speech, &message);
        let (found, rest) = speech.message(&bytes).unwrap().unwrap();
        assert_eq!((found.len(), rest), (100, bytes.len()), "{speech:?}");
    }
}
