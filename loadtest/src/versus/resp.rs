//! A Redis client that only increments, pipelined, on blocking sockets: as little work as possible beside
//! the server's.

use countree_common::shell::failure::Failure;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
const BUFFER_BYTES: usize = 256 << 10;

/// One connection.
pub(super) struct Connection {
    stream: TcpStream,
    out: Vec<u8>,
    buffer: Vec<u8>,
}

impl Connection {
    /// # Errors
    /// When nothing answers there.
    pub(super) fn open(port: u16) -> Result<Self, Failure> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        Ok(Self { stream, out: Vec::new(), buffer: vec![0; BUFFER_BYTES] })
    }

    /// Adds a command to the pipeline.
    pub(super) fn push(&mut self, parts: &[&[u8]]) {
        // Writing to a vector does not fail.
        let _ = write!(self.out, "*{}\r\n", parts.len());
        for part in parts {
            let _ = write!(self.out, "${}\r\n", part.len());
            self.out.extend_from_slice(part);
            self.out.extend_from_slice(b"\r\n");
        }
    }

    /// Sends what was pushed, and reads as many answers, all of which must be integers.
    ///
    /// # Errors
    /// When one is not.
    pub(super) fn flush(&mut self, answers: usize) -> Result<(), Failure> {
        self.stream.write_all(&self.out)?;
        self.out.clear();
        let (mut seen, mut at_start) = (0, true);
        while seen < answers {
            let read = self.stream.read(&mut self.buffer)?;
            let bytes = self.buffer.get(..read).unwrap_or_default();
            if bytes.is_empty() {
                return Err(Failure::failed("Redis closed the connection"));
            }
            for &byte in bytes {
                if at_start && byte != b':' {
                    let said = String::from_utf8_lossy(bytes).into_owned();
                    return Err(Failure::failed(format!("Redis answers {}", said.trim())));
                }
                at_start = byte == b'\n';
                seen += usize::from(at_start);
            }
        }
        Ok(())
    }

    /// Sends what was pushed, and reads as many answers: arrays, strings or integers, each as its flat list of
    /// strings.
    ///
    /// # Errors
    /// When an answer is of another kind.
    pub(super) fn read(&mut self, answers: usize) -> Result<Vec<Vec<Option<String>>>, Failure> {
        self.stream.write_all(&self.out)?;
        self.out.clear();
        let mut reader = Reader { stream: &mut self.stream, buffer: &mut self.buffer, at: 0, end: 0 };
        (0..answers).map(|_| reader.answer()).collect()
    }
}

struct Reader<'a> {
    stream: &'a mut TcpStream,
    buffer: &'a mut Vec<u8>,
    at: usize,
    end: usize,
}

impl Reader<'_> {
    fn byte(&mut self) -> Result<u8, Failure> {
        if self.at == self.end {
            (self.at, self.end) = (0, self.stream.read(self.buffer)?);
        }
        let byte = self.buffer.get(self.at..self.end).and_then(|rest| rest.first().copied());
        self.at += 1;
        byte.ok_or_else(|| Failure::failed("Redis closed the connection"))
    }

    fn line(&mut self) -> Result<String, Failure> {
        let mut line = Vec::new();
        loop {
            match self.byte()? {
                b'\n' => break,
                b'\r' => {}
                byte => line.push(byte),
            }
        }
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    fn answer(&mut self) -> Result<Vec<Option<String>>, Failure> {
        let line = self.line()?;
        match line.strip_prefix('*') {
            Some(length) => (0..length.parse::<usize>()?).map(|_| self.string()).collect(),
            None => Ok(vec![self.rest(&line)?]),
        }
    }

    fn string(&mut self) -> Result<Option<String>, Failure> {
        let line = self.line()?;
        self.rest(&line)
    }

    fn rest(&mut self, line: &str) -> Result<Option<String>, Failure> {
        if line == "$-1" {
            return Ok(None);
        }
        match line.split_at_checked(1) {
            Some(("$", _)) => self.line().map(Some),
            Some((":" | "+", value)) => Ok(Some(value.to_owned())),
            _ => Err(Failure::failed(format!("Redis answers {line}"))),
        }
    }
}

#[cfg(test)]
#[path = "resp_tests.rs"]
mod tests;
