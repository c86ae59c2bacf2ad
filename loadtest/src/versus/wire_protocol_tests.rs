use super::*;

/// The bytes in which a broker passes `message` on.
fn passed_on(wire_protocol: WireProtocol, message: &[u8]) -> Vec<u8> {
    match wire_protocol {
        WireProtocol::Nats => {
            [format!("MSG show 1 {}\r\n", message.len()).as_bytes(), message, b"\r\n"].concat()
        }
        WireProtocol::Mqtt => wire_protocol.publish(message),
        WireProtocol::WebSocket => [&[0x81, message.len() as u8], message].concat(),
    }
}

#[test]
fn messages_are_found_once_they_are_whole() {
    for wire_protocol in [WireProtocol::Nats, WireProtocol::Mqtt, WireProtocol::WebSocket] {
        let (first, second) = (passed_on(wire_protocol, b"42 of them"), passed_on(wire_protocol, b"43"));
        let both = [first.clone(), second].concat();
        for end in 0..first.len() {
            assert_eq!(wire_protocol.message(&first[..end]).unwrap(), None, "{wire_protocol:?} {end}");
        }
        let (message, rest) = wire_protocol.message(&both).unwrap().unwrap();
        assert_eq!((&both[message], rest), (&b"42 of them"[..], first.len()), "{wire_protocol:?}");
        let (message, _) = wire_protocol.message(&both[rest..]).unwrap().unwrap();
        assert_eq!(&both[rest..][message], b"43", "{wire_protocol:?}");
    }
}

#[test]
fn what_is_no_message_is_refused() {
    assert!(WireProtocol::Nats.message(b"-ERR 'Slow Consumer'\r\n").is_err());
    assert!(WireProtocol::Mqtt.message(&[0x20, 2, 0, 5]).is_err());
    assert!(
        WireProtocol::WebSocket.message(&[0x88, 126, 0, 0]).is_err()
            || WireProtocol::WebSocket.message(b"HT").is_err()
    );
}

#[test]
fn lengths_fit_their_bytes() {
    let message = [b'x'; 100];
    for wire_protocol in [WireProtocol::Nats, WireProtocol::Mqtt, WireProtocol::WebSocket] {
        let bytes = passed_on(wire_protocol, &message);
        let (found, rest) = wire_protocol.message(&bytes).unwrap().unwrap();
        assert_eq!((found.len(), rest), (100, bytes.len()), "{wire_protocol:?}");
    }
}
