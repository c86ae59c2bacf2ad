//! The end: everything is up again, everything is merged, and everybody is asked what the totals are.

use crate::cluster::fleet::Fleet;
use crate::cluster::process::ProcessKind;
use crate::cluster::site::Site;
use crate::exact::clients::viewers::Shown;
use crate::exact::run::Run;
use crate::now;
use countree_common::document::TopicView;
use countree_common::key::Counter;
use countree_common::shell::failure::Failure;
use countree_common::shell::overview::Audit;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use tokio::time::timeout;

const POLL: Duration = Duration::from_millis(50);
/// Between two looks at the ledger while faults happen.
const AUDIT: Duration = Duration::from_millis(500);
/// A round of the audit over few topics takes no longer.
const ROUND: Duration = Duration::from_secs(2);

/// All totals of all topics.
pub(in crate::exact) type Totals = BTreeMap<Counter, i64>;

fn sites(urls: Vec<String>) -> Vec<Site> {
    urls.into_iter().map(|url| Site::at(url, None)).collect()
}

/// Looks at the ledger until it is dropped: it must balance at every moment. Most of the time it can't
/// be read, since a node is away.
pub(in crate::exact) async fn audit_throughout(run: &Run, leaves: Vec<String>) {
    let sites = sites(leaves);
    for site in sites.iter().cycle() {
        tokio::time::sleep(AUDIT).await;
        let acked_before = run.acks.acked();
        let Ok(Ok(audit)) = timeout(run.timeout, site.audit_now()).await else { continue };
        run.counts.audits.fetch_add(1, Relaxed);
        // Where a leaf that was away is left out, the ledger must not claim to balance.
        if audit.balanced && audit.total.accepted < acked_before {
            run.counts.short_audits.fetch_add(1, Relaxed);
        }
        // Not `balanced`, which is also false while a leaf is away.
        let balances = audit.streams.iter().all(|stream| stream.ledger.balanced());
        if !balances || (audit.total.declared_lost > 0 && !run.may_lose) {
            run.complain(format!("the ledger at {} is wrong in the middle: {:?}", site.url, audit.total));
        }
    }
}

/// Waits until every node is ready and knows all others: what a node shows of a cluster that it knows
/// only a part of is only a part.
pub(in crate::exact) async fn ready(run: &Run, fleet: &Fleet, deadline: Instant) {
    loop {
        let trouble = match fleet.trouble().await {
            None => fleet.stranger().await,
            trouble => trouble,
        };
        let Some(trouble) = trouble else { return };
        // The schedule's own doing, which an operator knows of.
        if trouble.contains("went back in time while it was in use")
            && let Some(site) = sites(fleet.urls(ProcessKind::Leaf)).first()
            && let Err(e) = site.acknowledge().await
        {
            run.complain(format!("an older store can't be acknowledged: {}", e.message()));
        }
        if now() > deadline {
            run.complain(format!("the nodes have not come together within {:?}: {trouble}", run.timeout));
            return;
        }
        tokio::time::sleep(POLL).await;
    }
}

/// What an operator does about leaves that have lost their disk, or have an older copy of it: gives up what is gone.
pub(in crate::exact) async fn give_up_lost_disks(run: &Run, fleet: &Fleet) {
    let Some(site) = sites(fleet.urls(ProcessKind::Leaf)).pop() else { return };
    let away = match site.audit().await {
        Ok(audit) => audit.away,
        Err(e) => return run.complain(format!("the ledger can't be read: {}", e.message())),
    };
    for leaf in away {
        run.say(&format!("{leaf} has lost its disk and is given up"));
        if let Err(e) = site.give_up(leaf.as_str()).await {
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
    let sites = sites(fleet.urls(ProcessKind::Leaf));
    let mut last = None;
    let mut why = "no leaf was asked".to_owned();
    for site in sites.iter().cycle() {
        if now() > deadline {
            break;
        }
        match timeout(run.timeout, site.audit_now()).await {
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
            Err(_) => why = format!("{} does not answer", site.url),
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
    for site in sites(fleet.urls(ProcessKind::Broadcast)) {
        let totals = loop {
            match read(run, &site).await {
                Ok(totals) => break totals,
                Err(e) if now() > deadline => {
                    run.complain(format!("the topics can't be read at {}: {}", site.url, e.message()));
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
                run.complain(format!("{} shows {different} totals otherwise than the first node", site.url));
            }
            Some(_) => {}
        }
    }
    first.unwrap_or_default()
}

async fn read(run: &Run, site: &Site) -> Result<Totals, Failure> {
    let mut totals = Totals::new();
    for topic in run.catalogue.topics() {
        if let Some(view) = site.topic(topic).await? {
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
