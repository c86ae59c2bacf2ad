//! Starts a Redis server for one test.

use crate::process::TestProcess;
use crate::shared::command::skip;
use crate::waiting::eventually;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

/// Starts a Redis server in this folder and returns it with its port; `None`, noted as skipped, where none is
/// installed.
pub(crate) fn redis(folder: &Path) -> Option<(TestProcess, u16)> {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let child = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"])
        .args(["--maxmemory-policy", "noeviction", "--dir", folder.to_str().unwrap()])
        .stdout(Stdio::null())
        .spawn();
    let Ok(child) = child else {
        skip("no redis-server");
        return None;
    };
    let process = TestProcess::of(child);
    eventually("Redis answers", || TcpStream::connect(("127.0.0.1", port)).ok());
    Some((process, port))
}
