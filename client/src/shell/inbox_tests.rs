use super::*;
use std::sync::Arc;
use std::time::Duration;

fn counter(item: &str) -> Counter {
    Counter::new("t", item, "like").unwrap()
}

fn inbox(room: usize, names_max: NameId) -> Arc<Inbox> {
    Arc::new(Inbox::with_names_max(room, Timeline::start(), names_max))
}

/// Returns every event with the name that its number stands for.
fn read(taken: &Taken) -> Vec<String> {
    let (mut names, mut read) = (Vec::new(), Vec::new());
    for intake in &taken.intakes {
        if intake.restarts_names {
            names.clear();
        }
        names.extend(intake.names.iter().map(|c| c.item.to_string()));
        read.extend(intake.events.iter().map(|(id, _)| names[*id as usize].clone()));
    }
    read
}

#[tokio::test]
async fn names_beyond_the_bound_begin_a_new_generation_and_handles_follow() {
    let inbox = inbox(100, 2);
    let handle = inbox.handle(&counter("a")).unwrap();
    for item in ["b", "c", "b", "a", "c"] {
        inbox.send_to(&handle, Delta::ONE, None).await.unwrap();
        inbox.send(&counter(item), Delta::ONE).await.unwrap();
    }
    let read = read(&inbox.take(Intake::default()));
    assert_eq!(read, ["a", "b", "a", "c", "a", "b", "a", "a", "a", "c"]);
}

#[tokio::test]
async fn many_events_are_taken_in_their_order_through_a_full_queue_and_a_new_generation() {
    let inbox = inbox(3, 2);
    let [a, b] = ["a", "b"].map(|item| inbox.handle(&counter(item)).unwrap());
    // The handles are stale from here on.
    inbox.send(&counter("c"), Delta::ONE).await.unwrap();
    let sending = tokio::spawn({
        let inbox = inbox.clone();
        async move { inbox.send_all(&[&a, &b, &b, &a, &a, &b].map(|handle| (handle, Delta::ONE)), None).await }
    });
    let mut taken = inbox.take(Intake::default());
    while read(&taken).len() < 7 {
        inbox.settle(0, 1);
        tokio::task::yield_now().await;
        taken.intakes.extend(inbox.take(Intake::default()).intakes);
    }
    sending.await.unwrap().unwrap();
    assert_eq!(read(&taken), ["c", "a", "b", "b", "a", "a", "b"]);
    assert_eq!(inbox.tally().sent, 7);
}

#[tokio::test]
async fn senders_wait_for_room_and_go_on_when_there_is_some() {
    let inbox = inbox(2, 10);
    for _ in 0..2 {
        inbox.send(&counter("a"), Delta::ONE).await.unwrap();
    }
    let third = tokio::spawn({
        let inbox = inbox.clone();
        async move { inbox.send(&counter("b"), Delta::ONE).await }
    });
    inbox.take(Intake::default());
    inbox.settle(2, 1);
    tokio::task::yield_now().await;
    assert!(!third.is_finished(), "the machine holds as much as there is room for");
    inbox.settle(1, 1);
    tokio::time::timeout(Duration::from_secs(5), third).await.unwrap().unwrap().unwrap();
    assert_eq!(inbox.tally().sent, 3);
}

#[tokio::test]
async fn waiting_senders_learn_of_the_end() {
    let inbox = inbox(1, 10);
    inbox.send(&counter("a"), Delta::ONE).await.unwrap();
    let handle = inbox.handle(&counter("a")).unwrap();
    let second = tokio::spawn({
        let inbox = inbox.clone();
        async move { inbox.send_all(&[(&handle, Delta::ONE)], None).await }
    });
    tokio::task::yield_now().await;
    inbox.end(ClientError::Closed);
    let answer = tokio::time::timeout(Duration::from_secs(5), second).await.unwrap().unwrap();
    assert_eq!(answer, Err(ClientError::Closed));
    assert_eq!(inbox.send(&counter("a"), Delta::ONE).await, Err(ClientError::Closed));
}
