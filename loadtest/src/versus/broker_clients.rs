//! Runs many subscribers of a broker, and one publisher that sends them a total with each change of a schedule.

use super::broker::Broker;
use super::wire_protocol::WireProtocol;
use crate::arguments::Show;
use crate::audience::Seen;
use crate::audience::changes::ChangeSchedule;
use crate::clock::now;
use crate::cluster::usage::between;
use countree_common::shell::failure::Failure;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// A message is as long as the update of one counter is.
const MESSAGE_BYTES: usize = 40;
const LEAD: Duration = Duration::from_millis(500);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
const BUFFER_BYTES: usize = 4 << 10;

/// The result of one broker's fan-out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown {
    pub(super) deliveries: u64,
    pub(super) core_s: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    /// Subscribers that never saw the last total.
    pub(super) behind: usize,
}

/// Runs one fan-out.
///
/// # Errors
/// When the broker breaks off.
pub(super) async fn perform(broker: &Broker, show: &Show) -> Result<Shown, Failure> {
    let seen = Seen::new(show.viewers as usize)?;
    let mut watching = JoinSet::new();
    for number in 0..show.viewers as usize {
        let (stream, wire_protocol, seen) = (join(broker, number).await?, broker.wire_protocol, seen.clone());
        watching.spawn(watch(stream, wire_protocol, number, seen));
    }
    let mut publisher = connect(broker).await?;
    publisher.write_all(&broker.wire_protocol.hello()).await?;
    let (mut answers, mut publisher) = publisher.into_split();
    let ignoring = tokio::spawn(async move {
        let mut buffer = vec![0; BUFFER_BYTES];
        while answers.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
    });
    let schedule = ChangeSchedule::new(now() + LEAD, show.period(), 0, show.changes());
    seen.begin(schedule);
    tokio::time::sleep(LEAD).await;
    let before = broker.seconds()?;
    for total in 1..=schedule.last() {
        if let Some(due) = schedule.due(total) {
            tokio::time::sleep_until(due.into()).await;
        }
        publisher
            .write_all(&broker.wire_protocol.publish(format!("{total:<MESSAGE_BYTES$}").as_bytes()))
            .await?;
    }
    let behind = seen.all_saw(schedule.last(), REQUEST_TIMEOUT).await.err().unwrap_or(0);
    let core_s = between(before, broker.seconds()?);
    ignoring.abort();
    let delivered = seen.deliveries();
    let (p50_ms, p99_ms) = (delivered.staleness_ms.p50, delivered.staleness_ms.p99);
    Ok(Shown { deliveries: delivered.deliveries, core_s, p50_ms, p99_ms, behind })
}

async fn connect(broker: &Broker) -> Result<TcpStream, Failure> {
    let stream = TcpStream::connect(("127.0.0.1", broker.port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Connects a subscriber and waits until the broker has confirmed it.
async fn join(broker: &Broker, number: usize) -> Result<TcpStream, Failure> {
    let mut stream = connect(broker).await?;
    let (hello, answer) = broker.wire_protocol.subscribe(number);
    stream.write_all(&hello).await?;
    let heard = async {
        let mut said = Vec::new();
        while !said.ends_with(answer) {
            let mut byte = [0; 1];
            if stream.read(&mut byte).await? == 0 || said.len() > BUFFER_BYTES {
                let said = String::from_utf8_lossy(&said).into_owned();
                return Err(Failure::failed(format!("the broker says {said:?}")));
            }
            said.extend_from_slice(&byte);
        }
        Ok(())
    };
    tokio::time::timeout(ANSWER_TIMEOUT, heard).await??;
    Ok(stream)
}

async fn watch(
    mut stream: TcpStream,
    wire_protocol: WireProtocol,
    number: usize,
    seen: Arc<Seen>,
) -> Result<(), Failure> {
    let (mut waiting, mut buffer) = (Vec::new(), vec![0; BUFFER_BYTES]);
    loop {
        let read = stream.read(&mut buffer).await?;
        let at = now();
        match buffer.get(..read) {
            Some(bytes) if !bytes.is_empty() => waiting.extend_from_slice(bytes),
            _ => return Err(Failure::failed("the broker closed a subscriber's connection")),
        }
        while let Some((message, rest)) = wire_protocol.message(&waiting)? {
            let total =
                waiting.get(message).and_then(|text| std::str::from_utf8(text).ok()?.trim().parse().ok());
            if let Some(total) = total {
                seen.saw(number, total, at);
            }
            waiting.drain(..rest);
        }
    }
}
