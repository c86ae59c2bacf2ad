use super::*;
use countree_common::cluster::NodeName;
use countree_common::cut::CounterSum;
use countree_common::key::{Item, Kind};

const LEAF: ConnectionId = ConnectionId(1);

fn cut(topic: &str, leaf: &str, from: u64) -> Cut {
    Cut {
        stream: StreamId { leaf: NodeName::new(leaf).unwrap(), incarnation: 1 },
        topic: Topic::new(topic).unwrap(),
        from,
        to: from + 1,
        sums: Vec::new(),
        events: 0,
        era: 0,
    }
}

fn push(queue: &mut MergeQueue, cut: Cut) {
    assert_eq!(queue.push(LEAF, cut).unwrap(), None);
}

fn next(queue: &mut MergeQueue) -> Option<(BatchId, Vec<Cut>)> {
    queue.next_batch(|_| true).map(|(batch, cuts)| (batch, cuts.to_vec()))
}

#[test]
fn a_batch_takes_all_that_waits_and_each_topic_in_order() {
    let mut queue = MergeQueue::default();
    let cuts = [cut("t", "a", 0), cut("u", "a", 3), cut("t", "b", 0)];
    cuts.clone().into_iter().for_each(|c| push(&mut queue, c));
    let (_, batch) = next(&mut queue).unwrap();
    assert_eq!(batch, [cuts[0].clone(), cuts[2].clone(), cuts[1].clone()], "a topic's cuts are neighbours");
    assert_eq!(queue.queued(), 0);
    assert_eq!(next(&mut queue), None);
}

#[test]
fn a_topic_is_in_one_batch_at_a_time() {
    let mut queue = MergeQueue::default();
    push(&mut queue, cut("t", "a", 0));
    let (first, _) = next(&mut queue).unwrap();
    push(&mut queue, cut("t", "b", 0));
    push(&mut queue, cut("u", "a", 0));
    let (_, second) = next(&mut queue).unwrap();
    assert_eq!(second, [cut("u", "a", 0)]);
    queue.handle_merged(first, &[None]).unwrap();
    assert_eq!(next(&mut queue).unwrap().1, [cut("t", "b", 0)]);
}

#[test]
fn two_cuts_of_one_stream_and_topic_are_never_under_way_together() {
    let mut queue = MergeQueue::default();
    [cut("t", "a", 0), cut("t", "b", 0), cut("t", "a", 0)].into_iter().for_each(|c| push(&mut queue, c));
    let (first, cuts) = next(&mut queue).unwrap();
    assert_eq!(cuts, [cut("t", "a", 0), cut("t", "b", 0)]);
    assert_eq!(next(&mut queue), None);
    queue.handle_merged(first, &[None, None]).unwrap();
    assert_eq!(next(&mut queue).unwrap().1, [cut("t", "a", 0)]);
}

#[test]
fn only_so_many_batches_are_in_flight() {
    let mut queue = MergeQueue::default();
    let mut batches = Vec::new();
    for topic in 0..BATCHES_IN_FLIGHT + 2 {
        push(&mut queue, cut(&topic.to_string(), "a", 0));
        batches.extend(next(&mut queue).map(|(batch, _)| batch));
    }
    assert_eq!((batches.len(), queue.queued()), (BATCHES_IN_FLIGHT, 2));
    queue.handle_merged(batches[1], &[None]).unwrap();
    assert_eq!(next(&mut queue).unwrap().1.len(), 2);
    assert!(queue.handle_merged(batches[1], &[None]).is_none(), "an answer counts once");
}

#[test]
fn every_cut_is_answered_to_its_own_leaf() {
    let mut queue = MergeQueue::default();
    let other = ConnectionId(2);
    push(&mut queue, cut("t", "a", 4));
    queue.push(other, cut("u", "b", 7)).unwrap();
    push(&mut queue, cut("v", "a", 0));
    let (batch, _) = next(&mut queue).unwrap();
    let answered = queue.handle_merged(batch, &[Some(Outcome::Overflow)]).unwrap();
    let mine = &answered.outcomes[&LEAF];
    assert_eq!((mine[0].from, mine[0].to, mine[0].outcome.clone()), (4, 5, Some(Outcome::Overflow)));
    assert_eq!(mine[1].outcome, None, "an answer that is missing is not known");
    assert_eq!(answered.outcomes[&other][0].topic, Topic::new("u").unwrap());
}

#[test]
fn a_full_queue_gives_cuts_back() {
    let mut queue = MergeQueue::default();
    for i in 0..CUTS_QUEUED_PER_ROOT as u64 {
        push(&mut queue, cut(&(i % 1_000).to_string(), "a", i));
    }
    let back = queue.push(LEAF, cut("t", "a", 9)).unwrap().unwrap();
    assert_eq!((back.from, back.outcome), (9, None));
    assert_eq!(next(&mut queue).unwrap().1.len(), 1_000);
    push(&mut queue, cut("t", "a", 9));
}

#[test]
fn a_batch_is_bounded_by_its_counters() {
    let mut queue = MergeQueue::default();
    let sums: Vec<_> = (0..COUNTERS_PER_BATCH / 2 + 1)
        .map(|i| CounterSum {
            item: Item::new(&i.to_string()).unwrap(),
            kind: Kind::new("k").unwrap(),
            delta: 1,
        })
        .collect();
    for topic in ["t", "u", "v"] {
        push(&mut queue, Cut { sums: sums.clone(), events: 1, ..cut(topic, "a", 0) });
    }
    assert_eq!(next(&mut queue).unwrap().1.len(), 2);
    assert_eq!(next(&mut queue).unwrap().1.len(), 1);
}

#[test]
fn cuts_of_a_leaf_that_is_gone_are_dropped() {
    let mut queue = MergeQueue::default();
    push(&mut queue, cut("t", "a", 0));
    queue.push(ConnectionId(2), cut("t", "b", 0)).unwrap();
    let (_, cuts) = queue.next_batch(|connection| connection != LEAF).unwrap();
    assert_eq!(cuts.to_vec(), [cut("t", "b", 0)]);
    push(&mut queue, cut("u", "a", 0));
    assert!(queue.next_batch(|_| false).is_none());
    assert_eq!(queue.queued(), 0);
    push(&mut queue, cut("u", "a", 0));
    assert!(next(&mut queue).is_some(), "the topic is not stuck");
}
