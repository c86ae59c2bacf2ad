//! Names of the environment variables that override settings.

/// The prefix of all variables.
pub const PREFIX: &str = "COUNTREE_";

/// The variable that sets a key of a table.
pub fn variable(section: &str, key: &str) -> String {
    format!("{PREFIX}{section}_{key}").to_uppercase().replace('-', "_")
}
