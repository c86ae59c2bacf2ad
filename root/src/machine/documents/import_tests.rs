use super::*;
use crate::machine::documents::Document;
use countree_common::cut::Outcome;
use countree_common::key::{Item, Kind};

const ROWS: u64 = 40;

fn file() -> ImportFile {
    ImportFile { id: "one".into(), digest: "d".into(), rows: ROWS }
}

fn topic() -> Topic {
    Topic::new("t").unwrap()
}

/// Every third row is another topic's.
fn rows() -> Vec<ImportRow> {
    let row = |number: u64| ImportRow {
        number,
        topic: topic(),
        item: Item::new(&format!("item {}", number % 4)).unwrap(),
        kind: Kind::new("like").unwrap(),
        total: 1 << number,
    };
    (1..=ROWS).filter(|number| number % 3 != 0).map(row).collect()
}

fn held(document: &Document) -> Held {
    let of =
        |direction| document.streams.get(&file().stream(direction).unwrap()).copied().unwrap_or_default();
    Held { forwards: of(Direction::Import), backwards: of(Direction::Undo) }
}

/// Takes a step by what was seen; the merge may find another document by then.
fn take(document: &mut Document, direction: Direction, rows: &[ImportRow], seen: Held) -> Option<Outcome> {
    match step(&file(), direction, &topic(), rows, seen).unwrap() {
        Step::Done(_) => None,
        Step::Merge(cut) => {
            crate::machine::documents::check(&cut).unwrap();
            Some(document.merge(&cut, 0, false))
        }
    }
}

fn send(document: &mut Document, direction: Direction, rows: &[ImportRow]) -> u64 {
    for _ in 0..10 {
        match step(&file(), direction, &topic(), rows, held(document)).unwrap() {
            Step::Done(count) => return count,
            Step::Merge(cut) => drop(document.merge(&cut, 0, false)),
        }
    }
    panic!("rows are merged again and again");
}

fn sum(document: &Document) -> i64 {
    document.totals.values().sum()
}

#[test]
fn each_row_counts_once_in_pieces_of_any_size_and_however_often_it_is_sent() {
    let whole: i64 = rows().iter().map(|row| row.total).sum();
    for piece in [1, 2, 7, 100] {
        let mut document = Document::default();
        let mut done = 0;
        for (n, rows) in rows().chunks(piece).enumerate() {
            done += send(&mut document, Direction::Import, rows);
            // Another importer is at the beginning still.
            let again: Vec<_> = self::rows().into_iter().take(n * piece).collect();
            assert_eq!(send(&mut document, Direction::Import, &again), again.len() as u64);
        }
        assert_eq!((sum(&document), done), (whole, rows().len() as u64), "in pieces of {piece}");
        assert_eq!(held(&document).forwards.events, done);
    }
}

#[test]
fn two_importers_that_saw_the_same_document_count_once() {
    let mut document = Document::default();
    let seen = held(&document);
    assert!(matches!(take(&mut document, Direction::Import, &rows()[..5], seen), Some(Outcome::Applied(_))));
    assert!(matches!(take(&mut document, Direction::Import, &rows()[..9], seen), Some(Outcome::Have { .. })));
    assert_eq!(held(&document).forwards.events, 5);
}

#[test]
fn what_is_undone_is_what_was_put_in_and_nothing_comes_in_later() {
    for put_in in [0, 1, 10, rows().len()] {
        let mut document = Document::default();
        send(&mut document, Direction::Import, &rows()[..put_in]);
        let late = held(&document);
        for piece in [3, 8] {
            let undone: u64 =
                rows().chunks(piece).map(|rows| send(&mut document, Direction::Undo, rows)).sum();
            assert_eq!((sum(&document), undone), (0, put_in as u64), "{put_in} were in");
        }
        if put_in < rows().len() {
            let late = take(&mut document, Direction::Import, &rows(), late);
            assert!(matches!(late, Some(Outcome::Have { .. })), "a row that was under way is late: {late:?}");
        }
        let refused = step(&file(), Direction::Import, &topic(), &rows(), held(&document));
        assert_eq!(refused, Err(ImportRefusal::Undone("one".into())));
        let Held { forwards, backwards } = held(&document);
        assert_eq!((forwards.events, backwards.events), (put_in as u64, put_in as u64));
    }
}

#[test]
fn rows_out_of_their_order_are_refused() {
    let mut wrong = rows();
    wrong.swap(1, 2);
    let beyond = vec![ImportRow { number: ROWS + 1, ..rows().remove(0) }];
    for rows in [wrong, beyond] {
        let refused = step(&file(), Direction::Import, &topic(), &rows, Held::default());
        assert!(matches!(refused, Err(ImportRefusal::Malformed(_))), "{refused:?}");
    }
}
