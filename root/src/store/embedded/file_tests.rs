use super::*;
use redb::TableDefinition;
use std::fs;
use std::io::ErrorKind;

const NUMBERS: TableDefinition<'_, u64, u64> = TableDefinition::new("numbers");

fn put(database: &Database, key: u64) -> Result<(), StoreError> {
    let transaction = database.begin_write().map_err(failed)?;
    transaction.open_table(NUMBERS).map_err(failed)?.insert(key, key).map_err(failed)?;
    transaction.commit().map_err(failed)
}

fn get(database: &Database, key: u64) -> Result<Option<u64>, StoreError> {
    use redb::ReadableDatabase;
    let transaction = database.begin_read().map_err(failed)?;
    let table = transaction.open_table(NUMBERS).map_err(failed)?;
    Ok(table.get(key).map_err(failed)?.map(|found| found.value()))
}

#[test]
fn after_any_io_error_the_file_is_opened_anew_with_all_that_was_committed() {
    let dir = tempfile::tempdir().unwrap();
    let file = StoreFile::create(&dir.path().join("file")).unwrap();
    file.with(|database| put(database, 1)).unwrap();
    for kind in [ErrorKind::StorageFull, ErrorKind::Other] {
        let error = failed(io::Error::from(kind));
        assert!(
            matches!(error, StoreError::Disk { is_full, .. } if is_full == (kind == ErrorKind::StorageFull))
        );
        assert_eq!(file.with(|_| Err::<(), _>(error.clone())), Err(error.clone()));
        assert_eq!(file.with(|database| get(database, 1)), Err(error), "not at once");
        let deadline = Instant::now() + Duration::from_secs(10);
        while file.with(|database| get(database, 1)) != Ok(Some(1)) {
            assert!(Instant::now() < deadline);
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    file.with(|database| put(database, 2)).unwrap();
    assert_eq!(file.with(|database| get(database, 2)), Ok(Some(2)));
}

#[test]
fn a_file_that_is_gone_does_not_become_an_empty_store() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let file = StoreFile::create(&path).unwrap();
    file.close(1, &failed(io::Error::from(ErrorKind::StorageFull)));
    fs::remove_file(&path).unwrap();
    std::thread::sleep(REOPEN_GAP);
    assert!(file.with(|_| Ok(())).is_err());
    assert!(!path.exists());
}
