use super::*;

fn file(id: &str, digest: &str) -> ImportFile {
    ImportFile { id: id.into(), digest: digest.into(), rows: 9 }
}

fn merged(imports: &Imports) -> Vec<u64> {
    imports.ledgers().map(|of| of.ledger.merged).collect()
}

#[test]
fn an_id_is_one_files_and_an_import_that_was_undone_is_over() {
    let mut imports = Imports::default();
    let (one, other) = (file("a", "1"), file("a", "2"));
    assert_eq!(imports.begin(&one, Direction::Undo), Err(ImportRefusal::Unknown("a".into())));
    for _ in 0..2 {
        assert_eq!(imports.begin(&one, Direction::Import), Ok(()));
        assert_eq!(imports.begin(&other, Direction::Import), Err(ImportRefusal::OtherFile("a".into())));
        assert!(merged(&imports).is_empty());
    }
    for _ in 0..2 {
        assert_eq!(imports.end(&one, Direction::Import, 9), Ok(()));
        assert_eq!(imports.begin(&one, Direction::Import), Ok(()), "a repeat is harmless");
        assert_eq!(merged(&imports), [9]);
    }
    assert_eq!(imports.begin(&one, Direction::Undo), Ok(()));
    assert_eq!(imports.begin(&one, Direction::Import), Err(ImportRefusal::Undone("a".into())));
    assert_eq!(imports.end(&one, Direction::Undo, 9), Ok(()));
    assert_eq!(imports.begin(&one, Direction::Undo), Ok(()), "so is a repeat of that");
    assert_eq!(imports.begin(&one, Direction::Import), Err(ImportRefusal::Undone("a".into())));
    assert_eq!(merged(&imports), [9, 9]);
}

#[test]
fn they_are_bounded() {
    let mut imports = Imports::default();
    for n in 0..IMPORTS_REMEMBERED {
        assert_eq!(imports.begin(&file(&n.to_string(), "1"), Direction::Import), Ok(()));
    }
    assert!(matches!(imports.begin(&file("new", "1"), Direction::Import), Err(ImportRefusal::Full(_))));
    assert_eq!(imports.begin(&file("0", "1"), Direction::Import), Ok(()));
}
