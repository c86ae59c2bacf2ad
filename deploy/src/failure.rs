//! Errors as the command reports them: one line on standard error, and an exit code.

use std::fmt::Display;
use std::process::ExitCode;

/// Why a command did not do its work.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    /// What is wrong and what to do; empty where the output has said it.
    message: String,
}

impl Failure {
    /// It was asked rightly and could not be done: exit code 1.
    pub(crate) fn failed(message: impl Display) -> Self {
        Self { code: 1, message: message.to_string() }
    }

    /// It was asked wrongly: exit code 2.
    pub(crate) fn wrong(message: impl Display) -> Self {
        Self { code: 2, message: message.to_string() }
    }

    /// The result that was printed is itself the bad news: exit code 1.
    pub(crate) fn silent() -> Self {
        Self { code: 1, message: String::new() }
    }

    /// What clap says, on one line.
    pub(crate) fn usage(e: &clap::Error) -> Self {
        let text = e.to_string();
        let lines = text
            .lines()
            .map(str::trim)
            .take_while(|l| !l.starts_with("Usage:") && !l.starts_with("For more information"));
        let words: Vec<_> = lines.filter(|l| !l.is_empty()).collect();
        let message = words.join(" ");
        Self::wrong(format!("{} (see countree --help)", message.trim_start_matches("error: ")))
    }

    /// Prints it and gives the process's exit code.
    pub(crate) fn report(self) -> ExitCode {
        if !self.message.is_empty() {
            eprintln!("countree: {}", self.message.replace('\n', " "));
        }
        ExitCode::from(self.code)
    }
}

/// Anything that has a good message of its own.
impl<E: std::error::Error> From<E> for Failure {
    fn from(e: E) -> Self {
        Self::failed(e)
    }
}
