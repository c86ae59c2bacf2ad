//! The documents' tables of messages and types, compared with the code.
//!
//! A table whose head is `| no. | NAME | fields | …` describes the enum NAME, one whose head is `| type |
//! fields | …` structs.

use crate::golden::golden;
use crate::shape::Definition;
use std::collections::{BTreeMap, BTreeSet};

const DOCUMENTS: [&str; 2] = ["protocol.md", "protocol-nodes.md"];

type Rows = BTreeSet<[String; 3]>;

/// The tables of the code: each a name, and the first three cells of its rows.
fn tables() -> BTreeMap<String, Rows> {
    let mut tables = BTreeMap::<String, Rows>::new();
    for (name, definition) in golden().1 {
        match definition {
            Definition::Struct(fields) => {
                let row = [String::new(), name, fields.to_string()];
                tables.entry("type".into()).or_default().insert(row);
            }
            Definition::Enum(variants) => {
                let rows = tables.entry(name).or_default();
                rows.extend(variants.into_iter().enumerate().map(|(number, (name, fields))| {
                    [number.to_string(), name.to_owned(), fields.to_string()]
                }));
            }
        }
    }
    tables
}

/// Reads the tables of the documents.
fn described() -> BTreeMap<String, Rows> {
    let mut tables = BTreeMap::<String, Rows>::new();
    for document in DOCUMENTS {
        let path = format!("{}/../docs/{document}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let mut table = None;
        for line in text.lines() {
            let cells: Vec<_> =
                line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect();
            match cells.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                _ if !line.starts_with('|') => table = None,
                ["no.", name, "fields", ..] => table = Some(name.to_owned()),
                ["type", "fields", ..] => table = Some("type".to_owned()),
                [first, ..] if first.starts_with("--") => {}
                [name, fields, ..] if table.as_deref() == Some("type") => {
                    add(&mut tables, "type", [String::new(), name.to_owned(), fields.to_owned()]);
                }
                [number, name, fields, meaning] if table.is_some() => {
                    assert!(!meaning.is_empty(), "{document} does not say what {name} means");
                    let table = table.as_deref().unwrap_or_default();
                    add(&mut tables, table, [number.to_owned(), name.to_owned(), fields.to_owned()]);
                }
                _ => assert!(table.is_none(), "{document}: a row of another form: {line}"),
            }
        }
    }
    tables
}

fn add(tables: &mut BTreeMap<String, Rows>, table: &str, row: [String; 3]) {
    let name = row[1].clone();
    assert!(tables.entry(table.to_owned()).or_default().insert(row), "{table} {name} is described twice");
}

#[test]
fn the_documents_list_every_message_with_its_number_and_fields() {
    let (said, mut told) = (tables(), described());
    let mut wrong = Vec::new();
    for (table, rows) in said {
        let described = told.remove(&table).unwrap_or_default();
        let show = |[number, name, fields]: &[String; 3]| match table.as_str() {
            "type" => format!("| `{name}` | {fields} |"),
            _ => format!("| {number} | `{name}` | {fields} | |"),
        };
        let lacks = rows.difference(&described).map(|row| format!("lack in table {table}: {}", show(row)));
        let stale = described.difference(&rows).map(|row| format!("have in table {table}: {}", show(row)));
        wrong.extend(lacks.chain(stale));
    }
    wrong.extend(
        told.into_keys().map(|table| format!("have a table that the code knows nothing of: {table}")),
    );
    let wrong = wrong.join("\n  ");
    assert!(wrong.is_empty(), "docs/protocol.md and docs/protocol-nodes.md\n  {wrong}");
}
