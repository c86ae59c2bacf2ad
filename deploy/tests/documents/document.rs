//! Reads Markdown documents: their links, anchors, and the commands in their code.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The repository.
pub(crate) const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const FOLDERS: [&str; 4] = ["", "docs", "docs/decisions", "client/python"];
const FENCE: &str = "```";

/// A document and its text.
pub(crate) struct Document {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// Reads all documents of the repository.
pub(crate) fn documents() -> Vec<Document> {
    let entries = FOLDERS.iter().flat_map(|folder| Path::new(ROOT).join(folder).read_dir().unwrap());
    let paths = entries.map(|entry| entry.unwrap().path());
    let documents = paths.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    documents.map(|path| Document { text: std::fs::read_to_string(&path).unwrap(), path }).collect()
}

/// Splits a text into prose and the lines of its code blocks.
fn split(text: &str) -> (String, Vec<&str>) {
    let (mut prose, mut code, mut is_code) = (String::new(), Vec::new(), false);
    for line in text.lines() {
        if line.trim_start().starts_with(FENCE) {
            is_code = !is_code;
        } else if is_code {
            code.push(line);
        } else {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    (prose, code)
}

/// Lists the targets of links that stay in the repository.
pub(crate) fn links(text: &str) -> Vec<String> {
    let (prose, _) = split(text);
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    targets.filter(|target| !target.contains("://")).map(str::to_owned).collect()
}

/// Lists the anchors of the headings.
pub(crate) fn anchors(text: &str) -> BTreeSet<String> {
    let (prose, _) = split(text);
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let text = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = text.chars().filter(|c| c.is_alphanumeric() || ['-', '_', ' '].contains(c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

/// Lists the files and folders of the repository that are named in code spans.
pub(crate) fn files(text: &str) -> Vec<String> {
    const CRATES: [&str; 8] = ["common", "leaf", "root", "broadcast", "client", "sim", "loadtest", "deploy"];
    let (prose, _) = split(text);
    let spans = prose.split('`').skip(1).step_by(2);
    let is_file = |span: &&str| {
        let folder = span.split_once('/').map(|(folder, _)| folder);
        folder.is_some_and(|folder| CRATES.contains(&folder)) && !span.contains([' ', '*', '\n'])
    };
    spans.filter(is_file).map(str::to_owned).collect()
}

/// Lists the `countree` commands in code: the words that name each command, of which `leaf|root` has two, and its
/// options.
pub(crate) fn commands(text: &str) -> Vec<(Vec<Vec<String>>, Vec<String>)> {
    let (prose, code) = split(text);
    let unwrapped = prose.replace('\n', " ");
    let spans = unwrapped.split('`').skip(1).step_by(2).map(str::to_owned);
    let lines = code.iter().map(|line| line.split('#').next().unwrap_or_default().to_owned());
    let found = spans.chain(lines);
    found.filter_map(|code| code.strip_prefix("countree ").and_then(command)).collect()
}

fn command(code: &str) -> Option<(Vec<Vec<String>>, Vec<String>)> {
    let words: Vec<_> = code.split_whitespace().collect();
    let is_name = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase());
    let first = words.first()?.replace('\\', "");
    let names: Vec<_> = first.split('|').map(str::to_owned).collect();
    if !names.iter().all(|name| is_name(name)) {
        return None;
    }
    let second = words.get(1).filter(|word| first == "store" && is_name(word));
    let commands = names.into_iter().map(|name| [Some(name), second.map(|word| (*word).to_owned())]);
    let commands = commands.map(|words| words.into_iter().flatten().collect()).collect();
    let option = |word: &&&str| word.starts_with("--");
    let options = words.iter().filter(option);
    let options = options.map(|word| word.split('=').next().unwrap_or_default().to_owned()).collect();
    Some((commands, options))
}
