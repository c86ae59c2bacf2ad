//! Errors as the command reports them: one line on standard error, and an exit code.

use clap::error::ErrorKind;
use std::fmt::Display;
use std::process::ExitCode;

/// Why a measurement has no result, or a bad one.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    /// What is wrong and what to do.
    message: String,
}

impl Failure {
    /// It was asked rightly and could not be done, or the totals are wrong: exit code 1.
    pub(crate) fn failed(message: impl Display) -> Self {
        Self { code: 1, message: message.to_string() }
    }

    /// It was asked wrongly: exit code 2.
    pub(crate) fn wrong(message: impl Display) -> Self {
        Self { code: 2, message: message.to_string() }
    }

    /// What clap says, on one line.
    pub(crate) fn usage(e: &clap::Error) -> Self {
        if e.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            return Self::wrong("a command is missing (see loadtest --help)");
        }
        let text = e.to_string();
        let is_advice = |line: &str| line.starts_with("Usage:") || line.starts_with("For more information");
        let lines = text.lines().map(str::trim).take_while(|line| !is_advice(line));
        let words: Vec<_> = lines.filter(|l| !l.is_empty()).collect();
        let message = words.join(" ");
        Self::wrong(format!("{} (see loadtest --help)", message.trim_start_matches("error: ")))
    }

    /// What is wrong.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Prints it and gives the process's exit code.
    pub(crate) fn report(self) -> ExitCode {
        eprintln!("loadtest: {}", self.message.replace('\n', " "));
        ExitCode::from(self.code)
    }
}

/// Anything that has a good message of its own.
impl<E: std::error::Error> From<E> for Failure {
    fn from(e: E) -> Self {
        Self::failed(e)
    }
}
