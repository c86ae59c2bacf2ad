//! Helpers that all test programs share: commands, load, viewers, HTTP.

#![allow(dead_code, reason = "each of the tests uses its own part")]

pub(crate) mod command;
pub(crate) mod load;
pub(crate) mod python;
pub(crate) mod totals;
pub(crate) mod viewing;

use countree_common::shell::http;
use serde_json::Value;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// The command under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_countree");
/// The repository.
pub(crate) const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

const ASK_AGAIN: Duration = Duration::from_millis(50);

/// Asks again until the answer is good; panics with the last bad one when `timeout` is over.
pub(crate) fn eventually<T>(what: &str, timeout: Duration, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + timeout;
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(why) => assert!(Instant::now() < deadline, "not within {timeout:?}: {what}: {why}"),
        }
        std::thread::sleep(ASK_AGAIN);
    }
}

/// [`read`], for tests that do not run in a runtime.
pub(crate) fn ask(url: &str, path: &str) -> Result<Value, String> {
    runtime().block_on(read(url, path))
}

/// Checks that a node answers a path with 200; the error has the answer.
pub(crate) fn get(url: &str, path: &str) -> Result<(), String> {
    runtime().block_on(body(url, path)).map(drop)
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// The JSON at a node's path.
pub(crate) async fn read(url: &str, path: &str) -> Result<Value, String> {
    serde_json::from_slice(&body(url, path).await?).map_err(|e| e.to_string())
}

async fn body(url: &str, path: &str) -> Result<Vec<u8>, String> {
    let answer = http::request("GET", url, path, &[], None).await.map_err(|e| e.to_string())?;
    match answer.status {
        200 => Ok(answer.body.into()),
        status => Err(format!("{url}{path} answers {status}: {}", String::from_utf8_lossy(&answer.body))),
    }
}
