//! Errors as a command reports them: one line on standard error, and an exit code.

use std::fmt::Display;
use std::process::ExitCode;

/// Why a command did not do its work.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// It was asked rightly and could not be done, or what was found is bad: exit code 1.
    pub fn failed(message: impl Display) -> Self {
        Self { code: 1, message: message.to_string() }
    }

    /// It was asked wrongly: exit code 2.
    pub fn wrong(message: impl Display) -> Self {
        Self { code: 2, message: message.to_string() }
    }

    /// The result that was printed is itself the bad news: exit code 1.
    pub fn silent() -> Self {
        Self { code: 1, message: String::new() }
    }

    /// It was asked wrongly, by the words of an argument parser, which are many lines: what is wrong, on one.
    pub fn usage(text: &str, program: &str) -> Self {
        let is_advice = |line: &str| line.starts_with("Usage:") || line.starts_with("For more information");
        let lines = text.lines().map(str::trim).take_while(|line| !is_advice(line));
        let words: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
        let message = words.join(" ");
        Self::wrong(format!("{} (see {program} --help)", message.trim_start_matches("error: ")))
    }

    /// What is wrong and what to do; empty where the output has said it.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Prints it and gives the process's exit code.
    pub fn report(self, program: &str) -> ExitCode {
        if !self.message.is_empty() {
            eprintln!("{program}: {}", self.message.replace('\n', " "));
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
