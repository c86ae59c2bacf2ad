//! A server that speaks just enough of Redis to be merged into, and confirms or does not confirm what is on
//! its disk. It counts what it is asked.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]

use countree_common::config::manifest::StoreUrl;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// The server's behaviour.
#[derive(Debug, Clone)]
pub struct Manners {
    /// The answer to WAITAOF, in RESP.
    pub waitaof: &'static str,
    /// The delay of that answer.
    pub takes: Duration,
    pub appendfsync: &'static str,
    pub replicas: usize,
    /// The answer to a merge, in place of merging.
    pub refusal: Option<&'static str>,
    /// Takes everything and answers nothing.
    pub is_mute: bool,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            waitaof: "*2\r\n:1\r\n:0\r\n",
            takes: Duration::ZERO,
            appendfsync: "always",
            replicas: 0,
            refusal: None,
            is_mute: false,
        }
    }
}

#[derive(Debug, Default)]
struct State {
    manners: Manners,
    /// Positions by stream, of the one topic there is.
    positions: BTreeMap<String, String>,
    version: u64,
    asked: BTreeMap<String, usize>,
    /// The commands of the connection that merged last.
    last_merge_then: Vec<String>,
    connections: usize,
}

#[derive(Clone)]
pub struct FakeRedis {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl FakeRedis {
    pub async fn start(manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Self { address, state: Arc::new(Mutex::new(State { manners, ..State::default() })) };
        let accepting = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                accepting.state.lock().unwrap().connections += 1;
                let server = accepting.clone();
                tokio::spawn(async move { server.serve(BufReader::new(stream)).await });
            }
        });
        server
    }

    pub fn url(&self) -> StoreUrl {
        format!("redis://{}", self.address).parse().unwrap()
    }

    pub fn set(&self, change: impl FnOnce(&mut Manners)) {
        change(&mut self.state.lock().unwrap().manners);
    }

    /// The number of times that a command came.
    pub fn asked(&self, command: &str) -> usize {
        self.state.lock().unwrap().asked.get(command).copied().unwrap_or_default()
    }

    pub fn connections(&self) -> usize {
        self.state.lock().unwrap().connections
    }

    /// The commands after the last merge, on its own connection.
    pub fn after_the_last_merge(&self) -> Vec<String> {
        self.state.lock().unwrap().last_merge_then.clone()
    }

    async fn serve(self, mut stream: BufReader<TcpStream>) -> Option<()> {
        let mut has_merged_last = false;
        loop {
            let words = command(&mut stream).await?;
            let name = words.first()?.to_uppercase();
            let manners = {
                let mut state = self.state.lock().unwrap();
                *state.asked.entry(name.clone()).or_default() += 1;
                if name == "EVALSHA" {
                    state.last_merge_then.clear();
                    has_merged_last = true;
                } else if has_merged_last {
                    state.last_merge_then.push(words.join(" "));
                }
                state.manners.clone()
            };
            if manners.is_mute {
                continue;
            }
            let answer = match (name.as_str(), words.get(1).map(String::as_str)) {
                ("PING", _) => "+PONG\r\n".to_owned(),
                ("HELLO", _) => "-ERR unknown command 'HELLO'\r\n".to_owned(),
                ("GET", _) => "$-1\r\n".to_owned(),
                ("CONFIG", _) => setting(&words, manners.appendfsync),
                ("INFO", _) => text("run_id:r\r\nmaster_replid:m\r\n"),
                ("EVAL", _) => text("1"),
                ("ROLE", _) => role(manners.replicas),
                ("WAITAOF", _) => {
                    tokio::time::sleep(manners.takes).await;
                    manners.waitaof.to_owned()
                }
                ("EVALSHA", _) => match manners.refusal {
                    Some(refusal) => refusal.to_owned(),
                    None if words.get(4).is_some_and(|word| word.starts_with("leaf:")) => self.merge(&words),
                    // What roots remember is never what this server has: they let it judge.
                    None => ":0\r\n".to_owned(),
                },
                _ => "+OK\r\n".to_owned(),
            };
            stream.get_mut().write_all(answer.as_bytes()).await.ok()?;
        }
    }

    /// The merge rule, for cuts without counters.
    fn merge(&self, words: &[String]) -> String {
        let mut state = self.state.lock().unwrap();
        let (stream, from, to) = (&words[4], &words[5], &words[6]);
        let version = state.version;
        let position = state.positions.entry(stream.clone()).or_insert_with(|| "0".to_owned());
        if position != from || from == to {
            let position = position.clone();
            return array(&["have", &position, "0", "0", &version.to_string()]);
        }
        position.clone_from(to);
        state.version += 1;
        array(&["applied", "0", &version.to_string(), "0", &(version + 1).to_string(), "0"])
    }
}

fn text(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

fn setting(words: &[String], appendfsync: &str) -> String {
    match words.get(2).map(String::as_str) {
        Some("appendfsync") => array(&["appendfsync", appendfsync]),
        _ => array(&["maxmemory-policy", "noeviction"]),
    }
}

fn role(replicas: usize) -> String {
    let replica = array(&["127.0.0.1", "7000", "1"]);
    format!("*3\r\n$6\r\nmaster\r\n:1\r\n*{replicas}\r\n{}", replica.repeat(replicas))
}

fn array(words: &[&str]) -> String {
    let words: String = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
    format!("*{}\r\n{words}", words.matches('$').count())
}

/// One command, or `None` at the end of the connection.
async fn command(stream: &mut BufReader<TcpStream>) -> Option<Vec<String>> {
    let count = number(stream, '*').await?;
    let mut words = Vec::new();
    for _ in 0..count {
        let length = number(stream, '$').await?;
        let mut word = vec![0; length + 2];
        stream.read_exact(&mut word).await.ok()?;
        word.truncate(length);
        words.push(String::from_utf8(word).ok()?);
    }
    Some(words)
}

async fn number(stream: &mut BufReader<TcpStream>, mark: char) -> Option<usize> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    line.strip_prefix(mark)?.trim_end().parse().ok()
}
