//! Prometheus text exposition (format 0.0.4): families of samples, written as they are read.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};

/// A page of metrics. Several nodes of one process may write to the same families.
#[derive(Debug, Default)]
pub struct Page {
    families: BTreeMap<&'static str, Family>,
}

#[derive(Debug)]
struct Family {
    kind: &'static str,
    help: &'static str,
    samples: String,
}

impl Page {
    /// A value that only goes up; its name ends in `_total`.
    pub fn counter(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        value: impl Display,
    ) {
        self.sample(name, "counter", help, labels, value);
    }

    /// A value that goes up and down.
    pub fn gauge(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        value: impl Display,
    ) {
        self.sample(name, "gauge", help, labels, value);
    }

    fn sample(
        &mut self,
        name: &'static str,
        kind: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        value: impl Display,
    ) {
        let family = self.families.entry(name).or_insert(Family { kind, help, samples: String::new() });
        let out = &mut family.samples;
        out.push_str(name);
        for (i, (label, text)) in labels.iter().enumerate() {
            out.push(if i == 0 { '{' } else { ',' });
            let text = text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
            let _ = write!(out, "{label}=\"{text}\"");
        }
        if !labels.is_empty() {
            out.push('}');
        }
        let _ = writeln!(out, " {value}");
    }

    /// The page.
    pub fn into_text(self) -> String {
        let mut text = String::new();
        for (name, family) in self.families {
            let Family { kind, help, samples } = family;
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{samples}");
        }
        text
    }
}
