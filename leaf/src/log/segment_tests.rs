use super::*;
use crate::log::record::{Checkpoint, put};
use countree_common::session::SessionId;
use countree_common::time::WallMs;

/// Four records, each written when the one before it was on disk.
fn segment() -> Vec<u8> {
    let mut bytes = Vec::new();
    let words = [4u8, 0, 0, 0, 8, 0, 0, 0];
    let records = [
        Record::Checkpoint(Checkpoint::default()),
        Record::Open { session: SessionId(7), at: WallMs(1) },
        Record::Batch {
            session: SessionId(7),
            seq: 1,
            at: WallMs(2),
            event_count: 2,
            definitions: &[],
            words: &words,
        },
        Record::Keys(Vec::new()),
    ];
    for (i, record) in records.iter().enumerate() {
        put(record, i as u64 + 1, i as u64, &mut bytes).unwrap();
    }
    bytes
}

fn read_all(bytes: &[u8], is_last: bool) -> Result<(usize, End), LogError> {
    let mut count = 0;
    let (_, end) = read(bytes, 1, is_last, |_, _| {
        count += 1;
        Ok(())
    })?;
    Ok((count, end))
}

#[test]
fn a_whole_segment_reads_back() {
    assert_eq!(read_all(&segment(), true), Ok((4, End::Clean)));
}

#[test]
fn every_truncation_recovers_the_records_before_it() {
    let bytes = segment();
    for length in 0..bytes.len() {
        let (count, end) = read_all(&bytes[..length], true).unwrap();
        match end {
            End::Torn { offset } => assert!(count < 4 && offset <= length),
            End::Clean => assert_eq!(read_all(&bytes[..length], false), Ok((count, End::Clean))),
        }
    }
}

#[test]
fn a_whole_record_of_a_newer_build_is_refused_and_not_taken_for_torn() {
    let mut bytes = segment();
    let last = bytes.len() - HEADER_BYTES - 1;
    bytes[last + HEADER_BYTES - 1] = 200;
    let crc = crc32fast::hash(&bytes[last + 8..]);
    bytes[last + 4..last + 8].copy_from_slice(&crc.to_le_bytes());
    for is_last in [true, false] {
        assert_eq!(read_all(&bytes, is_last), Err(LogError::Newer { lsn: 4, kind: 200 }));
    }
}

#[test]
fn every_bit_flip_is_noticed() {
    let whole = segment();
    let last = whole.len() - HEADER_BYTES - 1;
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let result = read_all(&bytes, true);
        if bit / 8 < last {
            assert!(matches!(result, Err(LogError::Damaged { .. })), "bit {bit}: {result:?}");
        } else {
            assert!(matches!(result, Ok((3, End::Torn { .. }))), "bit {bit}: {result:?}");
        }
    }
}

#[test]
fn damage_in_an_older_segment_is_never_taken_for_a_torn_write() {
    let bytes = segment();
    assert!(matches!(read_all(&bytes[..bytes.len() - 1], false), Err(LogError::Damaged { lsn: 4, .. })));
}

#[test]
fn a_group_that_was_torn_in_its_middle_is_cut_off_whole() {
    let mut bytes = Vec::new();
    put(&Record::Checkpoint(Checkpoint::default()), 1, 0, &mut bytes).unwrap();
    let torn_at = bytes.len();
    put(&Record::Open { session: SessionId(1), at: WallMs(1) }, 2, 1, &mut bytes).unwrap();
    put(&Record::Open { session: SessionId(2), at: WallMs(1) }, 3, 1, &mut bytes).unwrap();
    bytes[torn_at + 30] ^= 1;
    assert_eq!(read_all(&bytes, true), Ok((1, End::Torn { offset: torn_at })));
}
