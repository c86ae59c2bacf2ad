//! Reads one TOML table key by key, so that unknown keys can be refused.

use super::host_port::HostPort;
use super::variable::variable;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;
use toml::{Table, Value};

/// The error of a configuration that was refused. Nothing was started or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The text is not TOML.
    #[error("not TOML: {0}")]
    Syntax(String),
    /// A key that does not exist.
    #[error("{path} is not a setting; {section} takes {allowed}")]
    UnknownKey {
        /// The key's path.
        path: String,
        /// The table it stands in.
        section: String,
        /// The keys that exist there.
        allowed: String,
    },
    /// A value that the key does not take.
    #[error("{path} = {value} is refused: it takes {expected}")]
    BadValue {
        /// The key's path.
        path: String,
        /// The value that it was set to.
        value: String,
        /// The values that the key takes.
        expected: String,
    },
    /// A required key is missing.
    #[error("{path} is missing: it takes {expected}")]
    Missing {
        /// The key's path.
        path: String,
        /// The values that the key takes.
        expected: String,
    },
    /// Settings that contradict each other.
    #[error("{0}")]
    Contradiction(String),
}

/// A lookup of environment variables; tests pass their own.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// One table of the file, being read.
pub struct Section<'a> {
    name: &'static str,
    table: Table,
    environment: Environment<'a>,
    known: Vec<&'static str>,
}

/// Parses a file into its tables.
///
/// # Errors
/// When it is not TOML, or has something outside the `known` tables.
pub fn tables(text: &str, known: &[&str]) -> Result<Table, ConfigError> {
    let table: Table =
        text.parse().map_err(|e: toml::de::Error| ConfigError::Syntax(e.to_string().replace('\n', " ")))?;
    for (key, value) in &table {
        if !known.contains(&key.as_str()) || !value.is_table() {
            let allowed = known.iter().map(|k| format!("[{k}]")).collect::<Vec<_>>().join(", ");
            let section = "the file".to_owned();
            return Err(ConfigError::UnknownKey { path: key.clone(), section, allowed });
        }
    }
    Ok(table)
}

impl<'a> Section<'a> {
    /// Reads the table `[name]`; an absent one is empty.
    pub fn new(name: &'static str, file: &Table, environment: Environment<'a>) -> Self {
        let table = file.get(name).and_then(Value::as_table).cloned().unwrap_or_default();
        Self { name, table, environment, known: Vec::new() }
    }

    fn path(&self, key: &str) -> String {
        format!("{}.{key}", self.name)
    }

    /// Returns the value as text: from the environment (`COUNTREE_SECTION_KEY`), else from the file.
    fn take(&mut self, key: &'static str) -> Option<String> {
        self.known.push(key);
        let in_file = self.table.remove(key).map(|value| match value {
            Value::String(text) => text,
            Value::Array(items) => items
                .iter()
                .map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned))
                .collect::<Vec<_>>()
                .join(","),
            other => other.to_string(),
        });
        (self.environment)(&variable(self.name, key)).or(in_file)
    }

    fn bad(&self, key: &str, value: &str, expected: impl Into<String>) -> ConfigError {
        ConfigError::BadValue { path: self.path(key), value: value.to_owned(), expected: expected.into() }
    }

    /// Reads a value of any type that parses from text.
    ///
    /// # Errors
    /// When the text does not parse.
    pub fn optional<T: FromStr>(
        &mut self,
        key: &'static str,
        expected: &str,
    ) -> Result<Option<T>, ConfigError> {
        let Some(text) = self.take(key) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| self.bad(key, &text, expected))
    }

    /// [`Section::optional`], with a default.
    ///
    /// # Errors
    /// As [`Section::optional`].
    pub fn or<T: FromStr>(
        &mut self,
        key: &'static str,
        default: T,
        expected: &str,
    ) -> Result<T, ConfigError> {
        Ok(self.optional(key, expected)?.unwrap_or(default))
    }

    /// [`Section::optional`] for a key that has to be there.
    ///
    /// # Errors
    /// As [`Section::optional`], and when the key is missing.
    pub fn required<T: FromStr>(&mut self, key: &'static str, expected: &str) -> Result<T, ConfigError> {
        let missing = ConfigError::Missing { path: self.path(key), expected: expected.to_owned() };
        self.optional(key, expected)?.ok_or(missing)
    }

    /// Reads a whole number in a range.
    ///
    /// # Errors
    /// When it is no whole number, or out of range.
    pub fn number(
        &mut self,
        key: &'static str,
        default: u64,
        range: RangeInclusive<u64>,
    ) -> Result<u64, ConfigError> {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        let Some(text) = self.take(key) else { return Ok(default) };
        text.parse().ok().filter(|n| range.contains(n)).ok_or_else(|| self.bad(key, &text, expected))
    }

    /// Reads a duration in a range, written `100ms`, `10s`, `15m` or `2h`.
    ///
    /// # Errors
    /// When it is no duration, or out of range.
    pub fn duration(
        &mut self,
        key: &'static str,
        default: Duration,
        range: RangeInclusive<Duration>,
    ) -> Result<Duration, ConfigError> {
        let Some(text) = self.take(key) else { return Ok(default) };
        let expected = || {
            format!(
                "a duration from {} to {}, like 100ms, 10s or 15m",
                show(*range.start()),
                show(*range.end())
            )
        };
        parse_duration(&text).filter(|d| range.contains(d)).ok_or_else(|| self.bad(key, &text, expected()))
    }

    /// Reads a list of addresses, as an array or separated by commas.
    ///
    /// # Errors
    /// When one is not `host:port`.
    pub fn hosts(&mut self, key: &'static str) -> Result<Vec<HostPort>, ConfigError> {
        let Some(text) = self.take(key) else { return Ok(Vec::new()) };
        let parse = |part: &str| {
            part.trim().parse().map_err(|_| self.bad(key, part, "addresses like root:4433 or 10.0.0.1:4433"))
        };
        text.split(',').filter(|p| !p.trim().is_empty()).map(parse).collect()
    }

    /// A list of values that read from text, as an array or separated by commas.
    ///
    /// # Errors
    /// When one does not.
    pub fn list<T: FromStr>(&mut self, key: &'static str, expected: &str) -> Result<Vec<T>, ConfigError> {
        let Some(text) = self.take(key) else { return Ok(Vec::new()) };
        let parse = |part: &str| part.trim().parse().map_err(|_| self.bad(key, part.trim(), expected));
        text.split(',').filter(|part| !part.trim().is_empty()).map(parse).collect()
    }

    /// Refuses keys that nothing has read.
    ///
    /// # Errors
    /// When the table has a key that no reader asked for.
    pub fn finish(self) -> Result<(), ConfigError> {
        match self.table.keys().next() {
            None => Ok(()),
            Some(key) => Err(ConfigError::UnknownKey {
                path: self.path(key),
                section: format!("[{}]", self.name),
                allowed: self.known.join(", "),
            }),
        }
    }
}

/// Reads `100ms`, `10s`, `15m`, `2h`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(milliseconds).map(Duration::from_millis)
}

fn show(duration: Duration) -> String {
    let ms = duration.as_millis();
    match ms {
        _ if ms.is_multiple_of(3_600_000) => format!("{}h", ms / 3_600_000),
        _ if ms.is_multiple_of(60_000) => format!("{}m", ms / 60_000),
        _ if ms.is_multiple_of(1_000) => format!("{}s", ms / 1_000),
        _ => format!("{ms}ms"),
    }
}
