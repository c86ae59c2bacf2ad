//! Processes of the `countree` binary that a test starts, and their output.

use crate::shared::BINARY;
use crate::waiting::TIMEOUT;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// A running process; dropping it kills it.
pub(crate) struct TestProcess {
    child: Child,
}

impl Drop for TestProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl TestProcess {
    /// Takes charge of a child process.
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

    /// The exit code, once the process has ended.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        self.child.try_wait().unwrap().and_then(|status| status.code())
    }

    /// Waits for the end; returns the exit code, unless a signal ended it.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        let deadline = Instant::now() + TIMEOUT;
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
pub(crate) fn launch(arguments: &[&str]) -> TestProcess {
    let child =
        Command::new(BINARY).args(arguments).env("COUNTREE_LOG", "warn").stdout(Stdio::null()).spawn();
    TestProcess { child: child.unwrap() }
}

/// Starts a server command and returns its line that says that it is ready.
pub(crate) fn serve(arguments: &[&str]) -> (TestProcess, Value) {
    serve_under(arguments, &[])
}

/// [`serve`] with these environment variables too.
pub(crate) fn serve_under(arguments: &[&str], environment: &[(String, String)]) -> (TestProcess, Value) {
    let mut child = Command::new(BINARY)
        .args(arguments)
        .arg("--json")
        .envs(environment.iter().cloned())
        .env("COUNTREE_LOG", "warn")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = child.stdout.take().unwrap();
    let process = TestProcess { child };
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

/// The JSON in the last line of a command's output; null when it printed none.
pub(crate) fn last_line(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(text.lines().last().unwrap_or("null")).unwrap_or(Value::Null)
}

/// A command in the background.
pub(crate) struct Running {
    process: TestProcess,
}

impl Running {
    /// Starts the command; its output is read later.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let child = Command::new(BINARY).args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        Self { process: TestProcess { child } }
    }

    pub(crate) fn signal(&self, signal: &str) {
        self.process.signal(signal);
    }

    /// Kills it (SIGKILL).
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

    /// Waits for the end; returns each line of its output and whether it succeeded.
    pub(crate) fn finish(mut self) -> (Vec<Value>, bool) {
        let mut text = String::new();
        self.process.child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (lines, self.process.wait() == Some(0))
    }
}
