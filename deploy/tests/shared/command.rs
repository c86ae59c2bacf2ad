//! Runs programs to their end.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// The time limit of a program, in seconds; a program that hangs is killed.
const LIMIT_S: &str = "120";

/// Runs a program; returns its output, or its error output.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    feed(program, arguments, None)
}

/// [`run`] with a file as standard input.
pub(crate) fn feed(program: &str, arguments: &[&str], input: Option<&Path>) -> Result<String, String> {
    run_in(Command::new("timeout").args(["-k", "5", LIMIT_S, program]).args(arguments), input)
}

/// Runs a prepared command; returns its output, or its error output.
pub(crate) fn run_in(command: &mut Command, input: Option<&Path>) -> Result<String, String> {
    let input = match input {
        Some(path) => std::fs::File::open(path).map_err(|e| e.to_string())?.into(),
        None => Stdio::null(),
    };
    let output = command.stdin(input).output().map_err(|e| format!("{command:?}: {e}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    Err(format!("{command:?}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()))
}

/// Whether the machine has a program.
pub(crate) fn is_installed(program: &str) -> bool {
    run("sh", &["-c", &format!("command -v {program}")]).is_ok()
}

/// Prints past the test harness, which hides the output of tests that pass.
pub(crate) fn say(what: &str) {
    let _ = writeln!(std::io::stdout(), "\n{what}");
}

/// Prints a skipped check in the form that test.sh looks for.
pub(crate) fn skip(why: &str) {
    say(&format!("skipped: {why}"));
}
