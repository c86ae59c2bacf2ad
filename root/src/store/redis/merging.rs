//! Merges cuts: many calls in one round trip.
//!
//! If the root has a topic's document in its cache, the topic's cuts are one call that writes totals, iff the document
//! is the remembered one. All other cuts are a call each, which reads, judges and writes.

use super::answer::{gained, is_missing_script, outcome};
use super::connection::RedisConnection;
use super::layout::{stream_field, total_field};
use super::refusal::is_on_the_move;
use super::server_process::ServerProcess;
use super::{Redis, durability};
use crate::machine::documents::Position;
use crate::machine::documents::cache::Plan;
use crate::store::StoreError;
use countree_common::cut::{Cut, Outcome};
use countree_common::key::Topic;
use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisResult, Value, cmd};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use tokio::task::JoinSet;

type Outcomes = Vec<Result<Outcome, StoreError>>;

/// One call of a script, and the cuts that it merges, by their place.
enum Call {
    Judge(usize),
    Write(Plan, Vec<usize>),
}

impl Redis {
    /// See [`Store::merge`](crate::store::Store::merge).
    pub(super) async fn merge_all(&self, cuts: &Arc<[Cut]>) -> Outcomes {
        match self.link {
            RedisConnection::Single(_) => self.merge_together(&cuts.iter().collect::<Vec<_>>()).await,
            RedisConnection::Cluster(_) => self.merge_by_topic(cuts.clone()).await,
        }
    }

    /// Sends the cuts in one round trip; in a Redis Cluster they have to be of one topic. One answer for each.
    async fn merge_together(&self, cuts: &[&Cut]) -> Outcomes {
        let process = match self.process().await {
            Ok(process) => process,
            Err(e) => return vec![Err(e.into()); cuts.len()],
        };
        let calls = self.plan(cuts, &process);
        let answers = match self.call(cuts, &calls, &process).await {
            Ok(answers) => answers,
            Err(e) if cuts.len() > 1 && is_on_the_move(&e) => return self.merge_one_by_one(cuts).await,
            Err(e) => return self.learned(cuts, vec![Err(e.into()); cuts.len()]),
        };
        let unknown = StoreError::Failed("Redis left a cut without an answer".into());
        let mut outcomes = vec![Err(unknown); cuts.len()];
        let (mut left, mut is_stale) = (Vec::new(), false);
        for (call, (answer, durable)) in calls.into_iter().zip(answers) {
            // A server that has restarted, or has just become the primary, does not know the scripts.
            let is_missing = is_missing_script(&answer);
            is_stale |= is_missing;
            match call {
                Call::Judge(place) if is_missing => left.push(place),
                Call::Judge(place) => set(&mut outcomes, place, outcome(answer, durable)),
                Call::Write(_, places) if is_missing => left.extend(places),
                Call::Write(plan, places) => match written(plan, &among(cuts, &places), answer, durable) {
                    Ok(Some(answers)) => {
                        places.into_iter().zip(answers).for_each(|(at, o)| set(&mut outcomes, at, Ok(o)));
                    }
                    Ok(None) => left.extend(places),
                    Err(e) => places.into_iter().for_each(|at| set(&mut outcomes, at, Err(e.clone()))),
                },
            }
        }
        if !left.is_empty() {
            left.sort_unstable();
            let stale = is_stale.then_some(&process);
            match self.judge_all(&among(cuts, &left), stale).await {
                Ok(repeated) => left.into_iter().zip(repeated).for_each(|(at, o)| set(&mut outcomes, at, o)),
                Err(e) => left.into_iter().for_each(|at| set(&mut outcomes, at, Err(e.clone().into()))),
            }
        }
        self.learned(cuts, outcomes)
    }

    /// Lets the server judge every cut by itself, under a process that is not the `stale` one.
    async fn judge_all(&self, cuts: &[&Cut], stale: Option<&Arc<ServerProcess>>) -> RedisResult<Outcomes> {
        let process = self.process_other_than(stale).await?;
        let calls: Vec<_> = (0..cuts.len()).map(Call::Judge).collect();
        let answers = self.call(cuts, &calls, &process).await?;
        Ok(answers.into_iter().map(|(answer, durable)| outcome(answer, durable)).collect())
    }

    /// Plans one call for each topic that is remembered, and one for each other cut.
    fn plan(&self, cuts: &[&Cut], process: &ServerProcess) -> Vec<Call> {
        let mut by_topic = BTreeMap::<&Topic, Vec<usize>>::new();
        for (place, cut) in cuts.iter().enumerate() {
            by_topic.entry(&cut.topic).or_default().push(place);
        }
        let memory = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let mut calls = Vec::with_capacity(cuts.len());
        for places in by_topic.into_values() {
            match memory.plan(&among(cuts, &places), process.era) {
                Some(plan) => calls.push(Call::Write(plan, places)),
                None => calls.extend(places.into_iter().map(Call::Judge)),
            }
        }
        calls
    }

    /// Remembers the outcomes of the cuts.
    fn learned(&self, cuts: &[&Cut], outcomes: Outcomes) -> Outcomes {
        let mut memory = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        for (cut, outcome) in cuts.iter().zip(&outcomes) {
            match outcome {
                Ok(Outcome::Applied(applied)) => memory.learn(cut, applied),
                Ok(Outcome::Have { .. } | Outcome::Overflow) => {}
                Err(_) => memory.forget(&cut.topic),
            }
        }
        outcomes
    }

    /// Merges cuts one by one: while a slot moves, a redirection is good for one command only.
    async fn merge_one_by_one(&self, cuts: &[&Cut]) -> Outcomes {
        let mut outcomes = Vec::with_capacity(cuts.len());
        for cut in cuts.chunks(1) {
            outcomes.extend(Box::pin(self.merge_together(cut)).await);
        }
        outcomes
    }

    /// Merges each topic's cuts by themselves, all topics at once: a Redis Cluster takes no pipeline across slots.
    async fn merge_by_topic(&self, cuts: Arc<[Cut]>) -> Outcomes {
        let mut by_topic = BTreeMap::<&Topic, Vec<usize>>::new();
        for (place, cut) in cuts.iter().enumerate() {
            by_topic.entry(&cut.topic).or_default().push(place);
        }
        let mut tasks = JoinSet::new();
        for places in by_topic.into_values() {
            let (store, cuts) = (self.clone(), cuts.clone());
            tasks.spawn(async move {
                let all: Vec<_> = cuts.iter().collect();
                let outcomes = store.merge_together(&among(&all, &places)).await;
                (places, outcomes)
            });
        }
        let unknown = StoreError::Failed("a call to Redis was abandoned".into());
        let mut outcomes = vec![Err(unknown); cuts.len()];
        while let Some(finished) = tasks.join_next().await {
            let Ok((places, answers)) = finished else { continue };
            places.into_iter().zip(answers).for_each(|(at, outcome)| set(&mut outcomes, at, outcome));
        }
        outcomes
    }

    /// Makes the calls; returns an answer for each, and whether what it tells of is durable.
    async fn call(
        &self,
        cuts: &[&Cut],
        calls: &[Call],
        process: &ServerProcess,
    ) -> RedisResult<Vec<(Value, bool)>> {
        let mut pipeline = Pipeline::with_capacity(calls.len() + durability::QUESTIONS);
        for call in calls {
            pipeline.add_command(match call {
                Call::Judge(place) => self.judge_command(at(cuts, *place)?, process),
                Call::Write(plan, places) => self.write_command(
                    &at(cuts, places.first().copied().unwrap_or_default())?.topic,
                    plan,
                    process,
                ),
            });
        }
        self.write_all(pipeline).await
    }

    /// `merge.lua` for one cut.
    fn judge_command(&self, cut: &Cut, process: &ServerProcess) -> Cmd {
        let mut command = cmd("EVALSHA");
        command.arg(&process.merge.hash).arg(1).arg(self.keys.topic(&cut.topic));
        command.arg(stream_field(&cut.stream)).arg(cut.from).arg(cut.to).arg(cut.events).arg(cut.era);
        command.arg(cut.sums.len());
        for sum in &cut.sums {
            command.arg(total_field(&sum.item, &sum.kind));
        }
        for sum in &cut.sums {
            command.arg(sum.delta);
        }
        command
    }

    /// `write.lua` for some cuts of one topic.
    fn write_command(&self, topic: &Topic, plan: &Plan, process: &ServerProcess) -> Cmd {
        let mut command = cmd("EVALSHA");
        command.arg(&process.write.hash).arg(1).arg(self.keys.topic(topic));
        let (compared, written) = (plan.streams.len() + 2, 2 * (plan.streams.len() + 2 + plan.totals.len()));
        command.arg(compared).arg(written).arg(plan.gains.len());
        let streams: Vec<_> = plan.streams.keys().map(stream_field).collect();
        let stands = |position: &Position| format!("{} {}", position.lsn, position.events);
        command.arg("version").arg("era").arg(&streams).arg(plan.base.number).arg(plan.base.era);
        for (before, _) in plan.streams.values() {
            command.arg(stands(before));
        }
        command.arg("era").arg(plan.version.era);
        for (stream, (_, after)) in streams.iter().zip(plan.streams.values()) {
            command.arg(stream).arg(stands(after));
        }
        for ((item, kind), total) in &plan.totals {
            command.arg(total_field(item, kind)).arg(*total);
        }
        command.arg("version").arg(plan.version.number);
        for ((item, kind), _) in &plan.gains {
            command.arg(total_field(item, kind));
        }
        for (_, gain) in &plan.gains {
            command.arg(*gain);
        }
        command
    }
}

/// The outcomes of a plan that was sent; `None` when the document is another.
fn written(
    plan: Plan,
    cuts: &[&Cut],
    answer: Value,
    durable: bool,
) -> Result<Option<Vec<Outcome>>, StoreError> {
    match gained(answer)? {
        None => Ok(None),
        Some(totals) => match plan.into_outcomes(cuts, &totals, durable) {
            Some(outcomes) => Ok(Some(outcomes)),
            None => Err(StoreError::Failed("Redis gave no answer of ours".into())),
        },
    }
}

fn at<'a>(cuts: &[&'a Cut], place: usize) -> RedisResult<&'a Cut> {
    let gone = || RedisError::from((ErrorKind::InvalidClientConfig, "a call without its cut"));
    cuts.get(place).copied().ok_or_else(gone)
}

fn among<'a>(cuts: &[&'a Cut], places: &[usize]) -> Vec<&'a Cut> {
    places.iter().filter_map(|place| cuts.get(*place).copied()).collect()
}

fn set<T>(slots: &mut [T], place: usize, value: T) {
    if let Some(slot) = slots.get_mut(place) {
        *slot = value;
    }
}
