//! A `countree up` of the test's own, and the commands that talk to it.

use crate::shared::command::skip;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_countree");
/// Nothing in these tests takes so long unless it is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A running process that is ended with the test.
pub(crate) struct Process {
    child: Child,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// That is ended with the test.
    pub(crate) fn of(child: Child) -> Self {
        Self { child }
    }

    pub(crate) fn signal(&self, signal: &str) {
        let status = Command::new("kill").arg(signal).arg(self.child.id().to_string()).status().unwrap();
        assert!(status.success());
    }

    /// Whether SIGTERM reaches a handler (signal 15 in the mask of those caught).
    pub(crate) fn catches_term(&self) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        u64::from_str_radix(caught.trim(), 16).unwrap() & (1 << 14) != 0
    }

    /// The exit code of one that has ended.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        self.child.try_wait().unwrap().and_then(|status| status.code())
    }

    /// Waits for the end; gives the exit code, if there was one.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the process does not end");
    }
}

/// Starts a server command.
pub(crate) fn launch(arguments: &[&str]) -> Process {
    let child =
        Command::new(BINARY).args(arguments).env("COUNTREE_LOG", "warn").stdout(Stdio::null()).spawn();
    Process { child: child.unwrap() }
}

/// Starts a server command and waits for its line that says that it is ready.
pub(crate) fn serve(arguments: &[&str]) -> (Process, Value) {
    serve_under(arguments, &[])
}

/// [`serve`], with more in its environment.
fn serve_under(arguments: &[&str], environment: &[(String, String)]) -> (Process, Value) {
    let mut child = Command::new(BINARY)
        .args(arguments)
        .arg("--json")
        .envs(environment.iter().cloned())
        .env("COUNTREE_LOG", "warn")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = child.stdout.take().unwrap();
    let process = Process { child };
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("not ready: {line:?}: {e}"));
    assert_eq!(ready["ready"], true);
    (process, ready)
}

/// Runs a command to its end.
pub(crate) fn countree(arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).env_remove("COUNTREE_URL").output().unwrap()
}

/// A local cluster on a folder of its own.
pub(crate) struct Cluster {
    pub(crate) folder: TempDir,
    manifest: Option<PathBuf>,
    environment: Vec<(String, String)>,
    process: Option<Process>,
    pub(crate) url: String,
}

impl Cluster {
    /// With the built-in manifest.
    pub(crate) fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), None, Vec::new())
    }

    /// With a manifest of its own.
    pub(crate) fn start_with(manifest: &str) -> Self {
        Self::start_under(tempfile::tempdir().unwrap(), manifest, Vec::new())
    }

    /// [`Cluster::start_with`], with more in its environment.
    pub(crate) fn start_under(folder: TempDir, manifest: &str, environment: Vec<(String, String)>) -> Self {
        let path = folder.path().join("manifest.toml");
        std::fs::write(&path, manifest).unwrap();
        Self::start_in(folder, Some(path), environment)
    }

    fn start_in(folder: TempDir, manifest: Option<PathBuf>, environment: Vec<(String, String)>) -> Self {
        let url = "http://127.0.0.1:0".into();
        let mut cluster = Self { folder, manifest, environment, process: None, url };
        cluster.start_again();
        cluster
    }

    /// On the same folder and the same HTTP port as before.
    pub(crate) fn start_again(&mut self) {
        self.start_again_with(&[]);
    }

    /// The same, with more arguments.
    pub(crate) fn start_again_with(&mut self, more: &[&str]) {
        let arguments = self.start_arguments();
        let arguments: Vec<_> = arguments.iter().map(String::as_str).chain(more.iter().copied()).collect();
        let (process, ready) = serve_under(&arguments, &self.environment);
        self.url = ready["http"].as_str().unwrap().to_owned();
        self.process = Some(process);
    }

    /// The same for one that is not ready before somebody helps: returns once it is alive.
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

    /// Tries to start it as [`start_again`](Self::start_again) does; gives the line that says why it is refused.
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

    /// Ctrl-C; the exit code has to be 0.
    pub(crate) fn stop(&mut self) {
        let mut process = self.process.take().unwrap();
        process.signal("-INT");
        assert_eq!(process.wait(), Some(0));
    }

    /// Ctrl-C twice; gives the exit code.
    pub(crate) fn stop_twice(&mut self) -> Option<i32> {
        let mut process = self.process.take().unwrap();
        process.signal("-INT");
        process.signal("-TERM");
        process.wait()
    }

    /// A power cut, as far as a process can have one.
    pub(crate) fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.signal("-KILL");
        process.wait();
    }

    /// Runs a command against this cluster; gives its JSON and whether it succeeded.
    pub(crate) fn ask(&self, arguments: &[&str]) -> (Value, bool) {
        let output = self.run(arguments);
        (last_line(&output), output.status.success())
    }

    /// Runs a command to its end, for its whole output.
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

    /// Runs a command that has to fail, with one line that says why; gives that.
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
        let child = Command::new(BINARY)
            .args(arguments)
            .args(["--json", "--cluster", &self.url])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Running { process: Process { child } }
    }

    /// The sum over a topic's items of one kind, everything acked so far included.
    pub(crate) fn sum(&self, topic: &str, kind: &str) -> i64 {
        let view = self.tell(&["get", topic]);
        let items = view["counts"].as_object().unwrap().values();
        items.filter_map(|kinds| kinds[kind].as_i64()).sum()
    }

    /// The ledger, which has to balance, once nothing is in flight any more.
    pub(crate) fn settled_audit(&self) -> Value {
        eventually("nothing in flight", || {
            let audit = self.tell(&["audit"]);
            assert_eq!(audit["balanced"], true, "{audit}");
            (audit["in_flight"] == 0).then_some(audit)
        })
    }

    /// One HTTP request by hand; gives the status and the body.
    pub(crate) fn http(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> (u16, String) {
        let (status, _, body) = self.exchange(method, path, headers, body);
        (status, body)
    }

    /// The same, and the answer's head, in lower case, between status and body.
    pub(crate) fn exchange(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> (u16, String, String) {
        let authority = self.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(authority).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n",
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

/// A command's result; null when it printed none.
pub(crate) fn last_line(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(text.lines().last().unwrap_or("null")).unwrap_or(Value::Null)
}

/// A command in the background.
pub(crate) struct Running {
    process: Process,
}

impl Running {
    pub(crate) fn signal(&self, signal: &str) {
        self.process.signal(signal);
    }

    /// As kill -9 does.
    pub(crate) fn kill(&mut self) {
        self.process.signal("-KILL");
        self.process.wait();
    }

    /// The lines of its output, as they come.
    pub(crate) fn lines(&mut self) -> mpsc::Receiver<Value> {
        let (line, lines) = mpsc::channel();
        let stdout = BufReader::new(self.process.child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for text in stdout.lines().map_while(Result::ok) {
                let _ = line.send(serde_json::from_str(&text).unwrap());
            }
        });
        lines
    }

    /// Waits for the end; gives each line of its output and whether it succeeded.
    pub(crate) fn finish(mut self) -> (Vec<Value>, bool) {
        let mut text = String::new();
        self.process.child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (lines, self.process.wait() == Some(0))
    }
}

/// Asks again until there is an answer.
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A Redis server of the test's own; `None`, said aloud, where none is installed.
pub(crate) fn redis(folder: &Path) -> Option<(Process, u16)> {
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
    let process = Process { child };
    eventually("Redis answers", || TcpStream::connect(("127.0.0.1", port)).ok());
    Some((process, port))
}
