//! Checks the documents: every link leads somewhere, the index lists every page, and every file and command exists.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a failed step is a failed test"
)]

mod document;

use document::{Document, documents};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

const BINARY: &str = env!("CARGO_BIN_EXE_countree");

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut broken = Vec::new();
    for Document { path, text } in documents() {
        for link in document::links(&text) {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let is_document = target.extension().is_some_and(|extension| extension == "md");
            let has_anchor = || {
                let text = std::fs::read_to_string(&target).unwrap();
                document::anchors(&text).contains(anchor)
            };
            if !target.exists() || is_document && !anchor.is_empty() && !has_anchor() {
                broken.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_file_that_the_documents_name_exists() {
    let is_missing = |file: &String| !Path::new(document::ROOT).join(file).exists();
    let of = |document: Document| (document.path.display().to_string(), document::files(&document.text));
    let missing = documents().into_iter().map(of).flat_map(|(path, files)| {
        files.into_iter().filter(is_missing).map(move |file| format!("{path}: {file}"))
    });
    let missing: Vec<_> = missing.collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn the_index_lists_every_page() {
    let docs = Path::new(document::ROOT).join("docs");
    let index = std::fs::read_to_string(docs.join("README.md")).unwrap();
    let listed: BTreeSet<_> = document::links(&index).into_iter().collect();
    let pages = docs.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let missing: Vec<_> =
        pages.filter(|name| name.ends_with(".md") && name != "README.md" && !listed.contains(name)).collect();
    assert!(missing.is_empty(), "docs/README.md lacks {missing:?}");
}

#[test]
fn every_command_and_option_in_the_documents_exists() {
    let mut helps: BTreeMap<Vec<String>, Option<String>> = BTreeMap::new();
    let mut unknown = Vec::new();
    for Document { path, text } in documents() {
        for (commands, options) in document::commands(&text) {
            for command in commands {
                let help = helps.entry(command.clone()).or_insert_with(|| {
                    let output = Command::new(BINARY).args(&command).arg("--help").output().unwrap();
                    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
                });
                let lacks =
                    |option: &&String| help.as_ref().is_none_or(|help| !help.contains(option.as_str()));
                let lacking: Vec<_> = options.iter().filter(lacks).collect();
                if help.is_none() || !lacking.is_empty() {
                    unknown.push(format!("{}: countree {} {lacking:?}", path.display(), command.join(" ")));
                }
            }
        }
    }
    assert!(helps.len() > 15, "commands are found: {helps:?}");
    assert!(unknown.is_empty(), "{unknown:#?}");
}
