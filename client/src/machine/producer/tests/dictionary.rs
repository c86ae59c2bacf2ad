use super::super::batch::{Batch, FillingBatch};
use super::super::dictionary::Dictionary;
use super::super::names::Names;
use super::super::*;
use super::fixture::*;
use countree_common::delta::Delta;
use countree_common::key::Counter;
use countree_common::limits;
use countree_common::time::Time;
use countree_common::wire::batch::BatchView;

fn names(count: usize, item_bytes: usize) -> Names {
    let mut names = Names::default();
    for n in 0..count {
        names.define(Counter::new("t", &format!("{n:0item_bytes$}"), "like").unwrap());
    }
    names
}

fn batch(names: &mut Names, stamp: u32, ids: &[NameId]) -> Batch {
    let mut filling = FillingBatch::new(stamp, names.generation(), Time(1), FlushId(1));
    ids.iter().for_each(|&id| names.add(id, Delta::ONE, &mut filling));
    filling.close()
}

#[test]
fn names_travel_once_per_connection_in_the_order_of_their_first_use() {
    let mut names = names(3, 4);
    let (first, second) = (batch(&mut names, 1, &[2, 0, 2]), batch(&mut names, 2, &[0, 1]));
    let mut dictionary = Dictionary::default();
    dictionary.clear();
    let body = dictionary.encode(1, &first, names.of(0));
    let view = BatchView::parse(&body).unwrap();
    let items: Vec<_> = view.counters().unwrap().into_iter().map(|c| c.item.to_string()).collect();
    assert_eq!((items, view.reset_names), (vec!["0002".into(), "0000".into()], false));
    let body = dictionary.encode(2, &second, names.of(0));
    let view = BatchView::parse(&body).unwrap();
    assert_eq!(view.counters().unwrap()[0].item.as_str(), "0001");
    assert!(view.check_events(3).is_ok());
    // A new connection knows nothing.
    dictionary.clear();
    let body = dictionary.encode(2, &second, names.of(0));
    assert_eq!(BatchView::parse(&body).unwrap().name_count, 2);
}

#[test]
fn a_batch_repeated_on_its_connection_does_not_bring_its_names_again() {
    let mut names = names(3, 4);
    let batch = batch(&mut names, 1, &[0, 1]);
    let mut dictionary = Dictionary::default();
    dictionary.clear();
    dictionary.encode(1, &batch, names.of(0));
    let body = dictionary.encode(1, &batch, names.of(0));
    let view = BatchView::parse(&body).unwrap();
    assert_eq!((view.reset_names, view.name_count), (false, 0));
}

#[test]
fn the_largest_batch_fits_a_frame_even_with_every_name_in_it() {
    let mut names = names(20_000, 128);
    let options =
        ProducerOptions { batch_events: usize::MAX, batch_bytes: usize::MAX, ..ProducerOptions::default() }
            .clamped();
    let mut filling = FillingBatch::new(1, 0, Time(1), FlushId(1));
    for id in 0.. {
        names.add(id, Delta::new(1 << 50).unwrap(), &mut filling);
        if filling.is_full(&options) {
            break;
        }
    }
    let mut dictionary = Dictionary::default();
    dictionary.clear();
    let body = dictionary.encode(1, &filling.close(), names.of(0));
    assert!(body.len() <= limits::FRAME_BYTES, "{}", body.len());
    assert!(body.len() > limits::FRAME_BYTES * 9 / 10, "{}", body.len());
}

#[test]
fn a_new_generation_of_names_leaves_unresolved_batches_theirs() {
    let mut f = Fixture::ready(single());
    f.send("old", 2);
    f.restart_names();
    f.send("new", 3);
    f.take_sent();
    f.lose("leaf-0");
    f.pass(MS * 50);
    f.connect("leaf-0");
    let session = countree_common::session::SessionId(100);
    f.says("leaf-0", countree_common::wire::producer::FromLeaf::Opened { session, last: 1 });
    assert_eq!(f.batches(), [(2, vec![2]), (3, vec![3])]);
    f.says("leaf-0", ack(3));
    f.restart_names();
    assert!(f.machine.is_empty());
}
