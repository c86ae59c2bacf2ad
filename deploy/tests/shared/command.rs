//! Programs that are run to their end.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Nothing that the tests run takes so long, in seconds, unless it hangs; then it is ended.
const LIMIT_S: &str = "120";

/// Runs a program; gives what it printed, or what it complained of.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    feed(program, arguments, None)
}

/// [`run`], with a file on its standard input.
pub(crate) fn feed(program: &str, arguments: &[&str], input: Option<&Path>) -> Result<String, String> {
    run_in(Command::new("timeout").args(["-k", "5", LIMIT_S, program]).args(arguments), input)
}

/// Runs a command that was prepared; gives what it printed, or what it complained of.
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

/// Says something past the test harness, which keeps to itself what a test prints that does not fail.
pub(crate) fn say(what: &str) {
    let _ = writeln!(std::io::stdout(), "\n{what}");
}

/// Says, in the form that test.sh looks for, what is not tested here.
pub(crate) fn skip(why: &str) {
    say(&format!("skipped: {why}"));
}
