//! Refuses environment variables that set nothing, as unknown keys of a file are refused.

use countree_common::config::environment::{PREFIX, settings};
use countree_common::shell::failure::Failure;
use std::ffi::OsString;

/// Variables that this command reads beside the settings of manifests and nodes.
const OPTIONS: [&str; 9] = [
    "COUNTREE_URL",
    "COUNTREE_TOKEN",
    "COUNTREE_CA",
    "COUNTREE_DATA",
    "COUNTREE_CONFIG",
    "COUNTREE_ADOPT",
    "COUNTREE_INSECURE",
    "COUNTREE_LOG",
    "COUNTREE_LOG_FORMAT",
];
/// Variables of `compose.yaml` and of builds: a shell that has them set may run this command, too.
const OF_OTHERS: [&str; 6] = [
    "COUNTREE_IMAGE",
    "COUNTREE_REDIS_IMAGE",
    "COUNTREE_FRONT_IMAGE",
    "COUNTREE_PORT",
    "COUNTREE_COMMIT",
    "COUNTREE_VERSION",
];
/// The least similarity of a name that is suggested, from 0 to 1.
const ALIKE: f64 = 0.8;

/// Fails on the first variable that begins with `COUNTREE_` and is unknown.
pub(crate) fn check() -> Result<(), Failure> {
    let text =
        |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    match unknown(std::env::vars_os().filter_map(text)) {
        None => Ok(()),
        Some(message) => Err(Failure::usage(message)),
    }
}

fn unknown(variables: impl Iterator<Item = (String, String)>) -> Option<String> {
    let ours = variables.filter(|(name, value)| name.starts_with(PREFIX) && !is_service_link(name, value));
    let mut names = ours.map(|(name, _)| name).peekable();
    names.peek()?;
    let settings = settings();
    let known: Vec<_> = settings.iter().map(String::as_str).chain(OPTIONS).collect();
    let name = names.find(|name| !known.contains(&name.as_str()) && !OF_OTHERS.contains(&name.as_str()))?;
    let alike = known.iter().map(|known| (strsim::jaro_winkler(&name, known), known));
    let nearest = alike.filter(|(alike, _)| *alike >= ALIKE).max_by(|a, b| a.0.total_cmp(&b.0));
    let advice = match nearest {
        Some((_, nearest)) => format!("did you mean {nearest}? Else unset it"),
        None => "unset it; settings are COUNTREE_SECTION_KEY".to_owned(),
    };
    Some(format!("the environment variable {name} sets nothing: {advice} (docs/configuration.md)"))
}

/// Whether Kubernetes made the variable for a Service whose name begins with `countree`: `…_SERVICE_HOST`,
/// `…_PORT_8080_TCP_ADDR`.
fn is_service_link(name: &str, value: &str) -> bool {
    let is_service = ["_SERVICE_HOST", "_SERVICE_PORT"].iter().any(|part| name.contains(part));
    let is_url = name.ends_with("_PORT") && value.contains("://");
    let has_protocol = ["_TCP", "_UDP", "_SCTP"].iter().any(|protocol| name.contains(protocol));
    is_service || is_url || name.contains("_PORT_") && has_protocol
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn refused(name: &str) -> Option<String> {
        unknown(
            ["PATH", "COUNTREE_LOG", name]
                .map(|name| (name.to_owned(), "tcp://10.0.0.1:1".to_owned()))
                .into_iter(),
        )
    }

    #[test]
    fn what_sets_nothing_is_named_with_what_is_nearest() {
        for (name, nearest) in [
            ("COUNTREE_LEAF_REPLICSA", "COUNTREE_LEAF_REPLICAS"),
            ("COUNTREE_ULR", "COUNTREE_URL"),
            ("COUNTREE_HTTP_LISTN", "COUNTREE_HTTP_LISTEN"),
        ] {
            let message = refused(name).unwrap_or_else(|| panic!("{name}"));
            assert!(message.contains(name) && message.contains(nearest), "{message}");
        }
        assert!(refused("COUNTREE_XYZ_1").is_some());
    }

    #[test]
    fn settings_options_and_what_other_programs_read_pass() {
        let links = [
            "COUNTREE_PORT_8080_TCP_ADDR",
            "COUNTREE_LEAF_SERVICE_HOST",
            "COUNTREE_SERVICE_PORT_HTTP",
            "COUNTREE_BROADCAST_PORT",
            "COUNTREE_ROOT_PORT_4433_UDP",
        ];
        let settings = settings();
        let names = settings.iter().map(String::as_str).chain(OPTIONS).chain(OF_OTHERS).chain(links);
        for name in names {
            assert_eq!(refused(name), None, "{name}");
        }
        assert_eq!(refused("COUNTREES"), None, "somebody else's");
    }

    #[test]
    fn the_documentation_has_every_variable_and_no_other() {
        let text = include_str!("../../docs/configuration.md");
        let parts = text.split(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'));
        let named: BTreeSet<_> =
            parts.filter(|part| part.len() > PREFIX.len() && part.starts_with(PREFIX)).collect();
        let settings = settings();
        let known: BTreeSet<_> = settings.iter().map(String::as_str).chain(OPTIONS).collect();
        let examples = BTreeSet::from(["COUNTREE_SECTION_KEY"]);
        assert_eq!(named.difference(&examples).copied().collect::<BTreeSet<_>>(), known);
    }
}
