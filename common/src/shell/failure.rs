//! Errors as a command reports them: one line on standard error, and an exit code.

use std::fmt::{Display, Write};
use std::process::ExitCode;

/// The failure of a command.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// An error of a well-formed command, or a bad result: exit code 1.
    pub fn failed(message: impl Display) -> Self {
        Self { code: 1, message: message.to_string() }
    }

    /// A usage error: exit code 2.
    pub fn usage(message: impl Display) -> Self {
        Self { code: 2, message: message.to_string() }
    }

    /// A bad result that was already printed: exit code 1, and no further message.
    pub fn silent() -> Self {
        Self { code: 1, message: String::new() }
    }

    /// A usage error with the many lines of an argument parser, shortened to one line.
    pub fn from_parser(text: &str, program: &str) -> Self {
        let is_advice = |line: &str| line.starts_with("Usage:") || line.starts_with("For more information");
        let lines = text.lines().map(str::trim).take_while(|line| !is_advice(line));
        let words: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
        let message = words.join(" ");
        Self::usage(format!("{} (see {program} --help)", message.trim_start_matches("error: ")))
    }

    /// The problem and its remedy; empty where the output has shown it.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Prints the message and returns the process's exit code.
    pub fn report(self, program: &str) -> ExitCode {
        if !self.message.is_empty() {
            eprintln!("{program}: {}", printable(&self.message.replace('\n', " ")));
        }
        ExitCode::from(self.code)
    }
}

/// Escapes text for a terminal: names can hold characters that would move its cursor, or reverse its text.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let turns_text =
            matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || turns_text {
            // Writing to a String can't fail.
            let _ = write!(out, "{}", c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// Every error that displays as a message.
impl<E: std::error::Error> From<E> for Failure {
    fn from(e: E) -> Self {
        Self::failed(e)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_work_a_terminal_is_shown_escaped() {
        assert_eq!(printable("café ☃ 'a'\\"), "café ☃ 'a'\\");
        assert_eq!(printable("\x1b[2Ja\r\n\u{9b}b\u{202e}"), "\\u{1b}[2Ja\\r\\n\\u{9b}b\\u{202e}");
    }
}
