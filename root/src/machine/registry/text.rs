//! The registry as text in the store. The text says its form: a build that does not know it must not write the
//! registry back without what it did not understand.
//!
//! Form 1, up to release 0.1.0 (b0dc694), is the registry itself and says no form. Its builds pass over fields that
//! they don't know, but not over `members`.

use super::Registry;
use serde::{Deserialize, Serialize};

const FORMAT: u64 = 2;
/// The error text of builds that know form 1 only, which find no members here.
const TO_FORM_1: &str = "written by a newer build of Countree: start that build on every root";

/// The reason why a text is no registry.
#[derive(Debug, thiserror::Error)]
pub enum RegistryTextError {
    /// The text does not have the form that it names.
    #[error("it is damaged: {0}")]
    Damaged(#[from] serde_json::Error),
    /// The text has a form of a newer build.
    #[error(
        "a newer build wrote it, in form {0}, and this one knows forms up to {FORMAT}: start the newer build on \
         every root (docs/upgrading.md)"
    )]
    Newer(u64),
}

#[derive(Serialize)]
struct Written<'a> {
    format: u64,
    members: &'static str,
    registry: &'a Registry,
}

#[derive(Deserialize)]
struct Form {
    format: Option<u64>,
}

#[derive(Deserialize)]
struct Form2 {
    registry: Registry,
}

impl Registry {
    /// Reads a registry from the store's text.
    ///
    /// # Errors
    /// When it is not a registry, or one of a newer build.
    pub fn from_text(text: &str) -> Result<Self, RegistryTextError> {
        match serde_json::from_str(text)? {
            Form { format: None } => Ok(serde_json::from_str(text)?),
            Form { format: Some(FORMAT) } => Ok(serde_json::from_str::<Form2>(text)?.registry),
            Form { format: Some(newer) } => Err(RegistryTextError::Newer(newer)),
        }
    }

    /// Writes the registry as text for the store.
    ///
    /// # Errors
    /// Never for a registry; the type of the JSON writer says otherwise.
    pub fn to_text(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(&Written { format: FORMAT, members: TO_FORM_1, registry: self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A registry as release 0.1.0 (b0dc694) wrote it.
    const FORM_1: &str = r#"{"epoch":460525,"members":{},"incarnations":{"leaf-0":1},"starts":2,"settled":{"leaf-0":1},
        "unsettled":[],"retired":{"leaf-0":{"streams":{"1":{"accepted":1,"merged":1,"in_flight":0,"declared_lost":0}},
        "folded":{"accepted":0,"merged":0,"in_flight":0,"declared_lost":0},"folded_to":0}},
        "keys":{"keepers":{"leaf-0":1795808542077},"past":[],"lost":[],"whole_from":0},"splits":[]}"#;

    #[test]
    fn the_registry_of_the_last_release_is_read_and_kept() {
        let registry = Registry::from_text(FORM_1).unwrap();
        assert_eq!(registry.epoch(), 460_525);
        assert_eq!(Registry::from_text(&registry.to_text().unwrap()).unwrap(), registry);
    }

    #[test]
    fn a_build_of_form_1_finds_words_where_it_looks_for_members() {
        let text = Registry::default().to_text().unwrap();
        // The one field of form 1 that has no default and is a map.
        #[derive(Debug, Deserialize)]
        struct Form1 {
            #[serde(rename = "members")]
            _members: std::collections::BTreeMap<String, serde_json::Value>,
        }
        let refused = serde_json::from_str::<Form1>(&text).unwrap_err().to_string();
        assert!(refused.contains(TO_FORM_1), "{refused}");
    }

    #[test]
    fn a_registry_of_a_build_to_come_is_refused() {
        let refused = Registry::from_text(r#"{"format":3,"registry":{}}"#).unwrap_err().to_string();
        assert!(refused.contains("newer build"), "{refused}");
    }
}
