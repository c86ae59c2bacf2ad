//! The wire protocols of the brokers: requests of subscribers and publishers, and the place of messages in the
//! answers. All three run over plain TCP.

use countree_common::shell::failure::Failure;

/// A protocol by which a broker shows one subject to many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WireProtocol {
    /// NATS's own.
    Nats,
    /// MQTT 3.1.1, quality of service 0.
    Mqtt,
    /// WebSocket for subscribers, HTTP for the publisher.
    WebSocket,
}

const SUBJECT: &str = "show";

impl WireProtocol {
    /// The requests of a subscriber, and the beginning of the last answer.
    pub(super) fn subscribe(self, viewer: usize) -> (Vec<u8>, &'static [u8]) {
        match self {
            Self::Nats => {
                let hello =
                    "CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"-\",\"version\":\"1\"}\r\n";
                (format!("{hello}SUB {SUBJECT} 1\r\nPING\r\n").into_bytes(), b"PONG\r\n")
            }
            Self::Mqtt => {
                let mut bytes = mqtt_connect(&format!("viewer-{viewer}"));
                let mut body = vec![0, 1, 0, SUBJECT.len() as u8];
                body.extend_from_slice(SUBJECT.as_bytes());
                body.push(0);
                bytes.extend_from_slice(&[0x82, body.len() as u8]);
                bytes.extend_from_slice(&body);
                (bytes, &[0x90, 3, 0, 1, 0])
            }
            Self::WebSocket => {
                let upgrade = "GET /sub HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                               Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
                (upgrade.into(), b"\r\n\r\n")
            }
        }
    }

    /// The first request of a publisher.
    pub(super) fn hello(self) -> Vec<u8> {
        match self {
            Self::Nats => {
                b"CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"-\",\"version\":\"1\"}\r\n".into()
            }
            Self::Mqtt => mqtt_connect("publisher"),
            Self::WebSocket => Vec::new(),
        }
    }

    /// A message of at most 100 bytes.
    pub(super) fn publish(self, message: &[u8]) -> Vec<u8> {
        let length = message.len();
        let mut bytes = match self {
            Self::Nats => format!("PUB {SUBJECT} {length}\r\n").into_bytes(),
            Self::Mqtt => {
                let mut head = vec![0x30, (2 + SUBJECT.len() + length) as u8, 0, SUBJECT.len() as u8];
                head.extend_from_slice(SUBJECT.as_bytes());
                head
            }
            Self::WebSocket => {
                format!("POST /pub HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n")
                    .into_bytes()
            }
        };
        bytes.extend_from_slice(message);
        if self == Self::Nats {
            bytes.extend_from_slice(b"\r\n");
        }
        bytes
    }

    /// Finds the first whole message in the received bytes: its range, and the start of the rest. `None` when bytes
    /// are missing.
    ///
    /// # Errors
    /// When that is not this protocol.
    pub(super) fn message(self, bytes: &[u8]) -> Result<Option<(std::ops::Range<usize>, usize)>, Failure> {
        let strange = || {
            let said = String::from_utf8_lossy(bytes.get(..80.min(bytes.len())).unwrap_or_default());
            Failure::failed(format!("the broker says {said:?}"))
        };
        let whole = |begin: usize, length: usize, tail: usize| {
            (bytes.len() >= begin + length + tail).then_some((begin..begin + length, begin + length + tail))
        };
        match self {
            Self::Nats => {
                let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") else { return Ok(None) };
                let line = std::str::from_utf8(bytes.get(..end).unwrap_or_default()).unwrap_or_default();
                if !line.starts_with("MSG ") {
                    return if line == "PING" { Ok(Some((0..0, end + 2))) } else { Err(strange()) };
                }
                let length =
                    line.rsplit(' ').next().and_then(|length| length.parse().ok()).ok_or_else(strange)?;
                Ok(whole(end + 2, length, 2))
            }
            Self::Mqtt => {
                let &[kind, length, ..] = bytes else { return Ok(None) };
                if kind != 0x30 || length > 127 {
                    return Err(strange());
                }
                let head = 4 + SUBJECT.len();
                let length = usize::from(length).checked_sub(head - 2).ok_or_else(strange)?;
                Ok(whole(head, length, 0))
            }
            Self::WebSocket => {
                let &[kind, length, ..] = bytes else { return Ok(None) };
                if kind & 0xf0 != 0x80 || length > 125 {
                    return Err(strange());
                }
                Ok(whole(2, length.into(), 0))
            }
        }
    }
}

fn mqtt_connect(id: &str) -> Vec<u8> {
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 0, 0, id.len() as u8];
    body.extend_from_slice(id.as_bytes());
    let mut bytes = vec![0x10, body.len() as u8];
    bytes.extend_from_slice(&body);
    bytes
}

#[cfg(test)]
#[path = "wire_protocol_tests.rs"]
mod tests;
