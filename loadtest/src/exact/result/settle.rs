//! Settles a run: waits until all is up and merged, and reads the totals at every node.

use crate::clock::now;
use crate::cluster::endpoints::Endpoints;
use crate::cluster::fleet::Fleet;
use crate::cluster::process::ProcessKind;
use crate::exact::clients::viewers::Shown;
use crate::exact::run::Run;
use countree_common::document::TopicView;
use countree_common::key::Counter;
use countree_common::shell::failure::Failure;
use countree_common::shell::overview::Audit;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use tokio::time::timeout;

const POLL: Duration = Duration::from_millis(50);
/// The time between two reads of the ledger while faults happen.
const AUDIT: Duration = Duration::from_millis(500);
/// A round of the audit over few topics takes no longer.
const ROUND: Duration = Duration::from_secs(2);

/// All totals of all topics.
pub(in crate::exact) type Totals = BTreeMap<Counter, i64>;

fn all_endpoints(urls: Vec<String>) -> Vec<Endpoints> {
    urls.into_iter().map(|url| Endpoints::at(url, None)).collect()
}

/// Looks at the ledger until it is dropped: it must balance at every moment. Most of the time it can't
/// be read, since a node is away.
pub(in crate::exact) async fn audit_throughout(run: &Run, leaves: Vec<String>) {
    let all_endpoints = all_endpoints(leaves);
    for endpoints in all_endpoints.iter().cycle() {
        tokio::time::sleep(AUDIT).await;
        let acked_before = run.acks.acked();
        let Ok(Ok(audit)) = timeout(run.timeout, endpoints.audit_now()).await else { continue };
        run.counts.audits.fetch_add(1, Relaxed);
        // Where a leaf that was away is left out, the ledger must not claim to balance.
        if audit.balanced && audit.total.accepted < acked_before {
            run.counts.short_audits.fetch_add(1, Relaxed);
        }
        // Not `balanced`, which is also false while a leaf is away.
        let balances = audit.streams.iter().all(|stream| stream.ledger.balanced());
        if !balances || (audit.total.declared_lost > 0 && !run.may_lose) {
            run.complain(format!(
                "the ledger at {} is wrong in the middle: {:?}",
                endpoints.url, audit.total
            ));
        }
    }
}

/// Waits until every node is ready and knows all others: what a node shows of a cluster that it knows
/// only a part of is only a part.
pub(in crate::exact) async fn ready(run: &Run, fleet: &Fleet, deadline: Instant) {
    loop {
        let problem = match fleet.problem().await {
            None => fleet.stranger().await,
            problem => problem,
        };
        let Some(problem) = problem else { return };
        // The schedule has done this, so it acknowledges it, as an operator would.
        if problem.contains("went back in time while it was in use")
            && let Some(endpoints) = all_endpoints(fleet.urls(ProcessKind::Leaf)).first()
            && let Err(e) = endpoints.acknowledge().await
        {
            run.complain(format!("an older store can't be acknowledged: {}", e.message()));
        }
        if now() > deadline {
            run.complain(format!("the nodes have not come together within {:?}: {problem}", run.timeout));
            return;
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Gives up leaves that have lost their disk or have an older copy of it, as an operator would.
pub(in crate::exact) async fn give_up_lost_disks(run: &Run, fleet: &Fleet) {
    let Some(endpoints) = all_endpoints(fleet.urls(ProcessKind::Leaf)).pop() else { return };
    let away = match endpoints.audit().await {
        Ok(audit) => audit.away,
        Err(e) => return run.complain(format!("the ledger can't be read: {}", e.message())),
    };
    for leaf in away {
        run.say(&format!("{leaf} has lost its disk and is given up"));
        if let Err(e) = endpoints.give_up(leaf.as_str()).await {
            run.complain(e.message().to_owned());
        }
    }
}

/// Waits until the leaves have merged all they accepted. Returns the ledger as it was last.
pub(in crate::exact) async fn merged(
    run: &Run,
    fleet: &Fleet,
    over: Instant,
    deadline: Instant,
) -> Option<Audit> {
    let all_endpoints = all_endpoints(fleet.urls(ProcessKind::Leaf));
    let mut last = None;
    let mut why = "no leaf was asked".to_owned();
    for endpoints in all_endpoints.iter().cycle() {
        if now() > deadline {
            break;
        }
        match timeout(run.timeout, endpoints.audit_now()).await {
            Ok(Ok(audit))
                if audit.balanced
                    && audit.total.in_flight == 0
                    && (!run.may_lose || is_newer(&audit, over)) =>
            {
                if audit.total.declared_lost > 0 && !run.may_lose {
                    run.complain(format!("the ledger declares events lost: {:?}", audit.total));
                }
                return Some(audit);
            }
            Ok(Ok(audit)) => {
                let open = audit.streams.iter().filter(|s| s.ledger.in_flight > 0 || !s.ledger.balanced());
                let open: Vec<_> = open.map(|s| format!("{} {:?}", s.stream, s.ledger)).collect();
                why = open.join("; ");
                last = Some(audit);
            }
            Ok(Err(e)) => why = e.message().to_owned(),
            Err(_) => why = format!("{} does not answer", endpoints.url),
        }
        tokio::time::sleep(POLL).await;
    }
    run.complain(format!("not everything was merged within {} s: {why}", run.timeout.as_secs()));
    last
}

/// Whether the store was read since the faults were over.
fn is_newer(audit: &Audit, over: Instant) -> bool {
    let since = now().saturating_duration_since(over);
    audit.store.as_ref().is_some_and(|check| Duration::from_millis(check.age_ms) + ROUND < since)
}

/// Reads all topics at every broadcast node; each must say the same.
pub(in crate::exact) async fn totals(run: &Run, fleet: &Fleet, deadline: Instant) -> Totals {
    let mut first: Option<Totals> = None;
    for endpoints in all_endpoints(fleet.urls(ProcessKind::Broadcast)) {
        let totals = loop {
            match read(run, &endpoints).await {
                Ok(totals) => break totals,
                Err(e) if now() > deadline => {
                    run.complain(format!("the topics can't be read at {}: {}", endpoints.url, e.message()));
                    break Totals::new();
                }
                Err(_) => tokio::time::sleep(POLL).await,
            }
        };
        match &first {
            None => first = Some(totals),
            Some(known) if *known != totals => {
                let different = totals.iter().filter(|(counter, total)| known.get(*counter) != Some(*total));
                let different = different.count();
                run.complain(format!(
                    "{} shows {different} totals otherwise than the first node",
                    endpoints.url
                ));
            }
            Some(_) => {}
        }
    }
    first.unwrap_or_default()
}

async fn read(run: &Run, endpoints: &Endpoints) -> Result<Totals, Failure> {
    let mut totals = Totals::new();
    for topic in run.catalogue.topics() {
        if let Some(view) = endpoints.topic(topic).await? {
            add(&mut totals, view);
        }
    }
    Ok(totals)
}

fn add(totals: &mut Totals, view: TopicView) {
    for (item, kinds) in view.counts {
        for (kind, total) in kinds {
            let (topic, item) = (view.topic.clone(), item.clone());
            totals.insert(Counter { topic, item, kind }, total);
        }
    }
}

/// Waits until every viewer is shown these totals; complains of those that are not.
pub(in crate::exact) async fn viewers_agree(
    run: &Run,
    viewers: &[Shown],
    totals: &Totals,
    deadline: Instant,
) {
    for (number, shown) in viewers.iter().enumerate() {
        loop {
            let (differences, example) = shown.differences(totals);
            if differences == 0 {
                break;
            }
            if now() > deadline {
                let example = example.unwrap_or_else(|| "it shows what is not in the store".into());
                run.complain(format!("viewer {number} is shown {differences} counters wrong: {example}"));
                break;
            }
            tokio::time::sleep(POLL).await;
        }
    }
}
