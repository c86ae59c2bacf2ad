//! Runs a `countree up` for one test, and commands and requests against it.

use crate::process::{Running, TestProcess, countree, last_line, launch, serve_under};
use crate::waiting::{TIMEOUT, eventually};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Output;
use tempfile::TempDir;

/// A local cluster on a folder of its own.
pub(crate) struct Cluster {
    pub(crate) folder: TempDir,
    manifest: Option<PathBuf>,
    environment: Vec<(String, String)>,
    process: Option<TestProcess>,
    pub(crate) url: String,
    /// The line that it printed when it was ready.
    pub(crate) ready: Value,
}

impl Cluster {
    /// Starts a cluster with the built-in manifest.
    pub(crate) fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), None, Vec::new())
    }

    /// Starts a cluster with this manifest.
    pub(crate) fn start_with(manifest: &str) -> Self {
        Self::start_under(tempfile::tempdir().unwrap(), manifest, Vec::new())
    }

    /// [`Cluster::start_with`] in this folder, with these environment variables too.
    pub(crate) fn start_under(folder: TempDir, manifest: &str, environment: Vec<(String, String)>) -> Self {
        let path = folder.path().join("manifest.toml");
        std::fs::write(&path, manifest).unwrap();
        Self::start_in(folder, Some(path), environment)
    }

    fn start_in(folder: TempDir, manifest: Option<PathBuf>, environment: Vec<(String, String)>) -> Self {
        Self::start_at("http://127.0.0.1:0", folder, manifest, environment)
    }

    /// [`Cluster::start_with`] on a port that was free a moment ago.
    pub(crate) fn start_on(manifest: &str, url: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manifest.toml");
        std::fs::write(&path, manifest).unwrap();
        Self::start_at(url, folder, Some(path), Vec::new())
    }

    fn start_at(
        url: &str,
        folder: TempDir,
        manifest: Option<PathBuf>,
        environment: Vec<(String, String)>,
    ) -> Self {
        let (url, ready) = (url.to_owned(), Value::Null);
        let mut cluster = Self { folder, manifest, environment, process: None, url, ready };
        cluster.start_again();
        cluster
    }

    /// Starts it again on the same folder and HTTP port.
    pub(crate) fn start_again(&mut self) {
        self.start_again_with(&[]);
    }

    /// [`start_again`](Self::start_again) with more arguments.
    pub(crate) fn start_again_with(&mut self, more: &[&str]) {
        let arguments = self.start_arguments();
        let arguments: Vec<_> = arguments.iter().map(String::as_str).chain(more.iter().copied()).collect();
        let (process, ready) = serve_under(&arguments, &self.environment);
        self.url = ready["http"].as_str().unwrap().to_owned();
        self.process = Some(process);
        self.ready = ready;
    }

    /// Starts a cluster that won't be ready before an operator acts; returns once it is alive.
    pub(crate) fn start_unready(&mut self) {
        let arguments = self.start_arguments();
        self.process = Some(launch(&arguments.iter().map(String::as_str).collect::<Vec<_>>()));
        eventually("it is alive", || {
            let address = self.url.trim_start_matches("http://");
            TcpStream::connect(address).ok()?;
            (self.http("GET", "/healthz", "", b"").0 == 200).then_some(())
        });
    }

    fn start_arguments(&self) -> Vec<String> {
        let (data, http) = (self.data(), self.url.trim_start_matches("http://"));
        let arguments = ["up", "--data", data.to_str().unwrap(), "--http", http].map(str::to_owned);
        let manifest = self.manifest.iter().map(|path| path.to_str().unwrap().to_owned());
        arguments.into_iter().chain(manifest).collect()
    }

    /// Tries [`start_again`](Self::start_again), which has to be refused; returns the line that says why.
    pub(crate) fn refused_start(&self) -> String {
        let arguments = self.start_arguments();
        let output = countree(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        let error = String::from_utf8(output.stderr).unwrap();
        let (code, said) = (output.status.code(), error.lines().last().unwrap_or_default().to_owned());
        assert_eq!(code, Some(1), "{error}");
        said
    }

    /// Changes the manifest that the next start takes.
    pub(crate) fn set_manifest(&mut self, manifest: &str) {
        let path = self.folder.path().join("manifest.toml");
        std::fs::write(&path, manifest).unwrap();
        self.manifest = Some(path);
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Stops it by Ctrl-C; the exit code has to be 0.
    pub(crate) fn stop(&mut self) {
        let mut process = self.process.take().unwrap();
        process.signal("-INT");
        assert_eq!(process.wait(), Some(0));
    }

    /// Presses Ctrl-C twice; returns the exit code.
    pub(crate) fn stop_twice(&mut self) -> Option<i32> {
        let mut process = self.process.take().unwrap();
        process.signal("-INT");
        process.signal("-TERM");
        process.wait()
    }

    /// Kills it (SIGKILL): the nearest that a process comes to a power cut.
    pub(crate) fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.signal("-KILL");
        process.wait();
    }

    /// Runs a command against this cluster; returns its JSON and whether it succeeded.
    pub(crate) fn ask(&self, arguments: &[&str]) -> (Value, bool) {
        let output = self.run(arguments);
        (last_line(&output), output.status.success())
    }

    /// Runs a command to its end; returns its whole output.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let (command, rest) = arguments.split_first().unwrap();
        countree(&[&[*command, "--json", "--cluster", &self.url], rest].concat())
    }

    /// Runs a command that has to succeed.
    pub(crate) fn tell(&self, arguments: &[&str]) -> Value {
        let output = self.run(arguments);
        let (value, error) = (last_line(&output), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{arguments:?}: {value}: {error}");
        value
    }

    /// Runs a command that has to fail with one line that says why; returns that line.
    pub(crate) fn refused(&self, arguments: &[&str]) -> String {
        let (command, rest) = arguments.split_first().unwrap();
        let output = countree(&[&[*command, "--cluster", &self.url], rest].concat());
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), error.lines().count()), (Some(1), 1), "{arguments:?}: {error}");
        error
    }

    /// Brings the cluster to another manifest.
    pub(crate) fn apply(&self, manifest: &str) -> Value {
        let path = self.folder.path().join("wanted.toml");
        std::fs::write(&path, manifest).unwrap();
        self.tell(&["apply", path.to_str().unwrap()])
    }

    /// Runs a command in the background; its output is read at the end.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> Running {
        Running::start(&[arguments, &["--json", "--cluster", &self.url]].concat())
    }

    /// Sums one kind over a topic's items, with everything acked so far.
    pub(crate) fn sum(&self, topic: &str, kind: &str) -> i64 {
        let view = self.tell(&["get", topic]);
        let items = view["counts"].as_object().unwrap().values();
        items.filter_map(|kinds| kinds[kind].as_i64()).sum()
    }

    /// Waits until nothing is in flight, and returns the ledger, which has to balance.
    pub(crate) fn settled_audit(&self) -> Value {
        eventually("nothing in flight", || {
            let audit = self.tell(&["audit"]);
            assert_eq!(audit["balanced"], true, "{audit}");
            (audit["in_flight"] == 0).then_some(audit)
        })
    }

    /// Sends one HTTP request; returns the status and the body.
    pub(crate) fn http(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> (u16, String) {
        let (status, _, body) = self.exchange(method, path, headers, body);
        (status, body)
    }

    /// Sends one HTTP request; returns the status, the head in lower case, and the body.
    pub(crate) fn exchange(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> (u16, String, String) {
        let authority = self.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(authority).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        let unless_given = |name: &str, value: &str| {
            if headers.contains(&format!("{name}: ")) {
                String::new()
            } else {
                format!("{name}: {value}\r\n")
            }
        };
        let host = unless_given("host", authority);
        let content_type = unless_given("content-type", "application/json");
        let head = format!(
            "{method} {path} HTTP/1.1\r\n{host}connection: close\r\n{content_type}{headers}content-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        // A server that refuses a large body may answer and close before it has read all of it.
        let _ = stream.write_all(body);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        (status, head.to_ascii_lowercase(), body.to_owned())
    }

    /// Posts events.
    pub(crate) fn post(&self, body: &str) -> (u16, String) {
        self.http("POST", "/v1/events", "", body.as_bytes())
    }
}
