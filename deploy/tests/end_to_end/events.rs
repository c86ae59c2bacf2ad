//! Runs a viewer over Server-Sent Events.

use crate::cluster::Cluster;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(60);

/// A topic's event stream.
pub(crate) struct Events {
    lines: BufReader<TcpStream>,
}

impl Events {
    /// Opens the stream with more request headers, each with its line end.
    pub(crate) fn open(cluster: &Cluster, topic: &str, headers: &str) -> Self {
        let authority = cluster.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(authority).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        // In HTTP/1.0 the events come as they are, without the frames of a chunked body.
        let head = format!("GET /v1/topics/{topic}/stream HTTP/1.0\r\nhost: {authority}\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        Self { lines: BufReader::new(stream) }
    }

    /// Reads the next event, which has to have this name; returns its data.
    pub(crate) fn next(&mut self, name: &str) -> Value {
        let mut found = String::new();
        loop {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "the stream ended");
            if let Some(event) = line.strip_prefix("event: ") {
                event.trim_end().clone_into(&mut found);
            }
            if let Some(data) = line.strip_prefix("data: ") {
                assert_eq!(found, name, "{data}");
                return serde_json::from_str(data).unwrap();
            }
        }
    }
}
