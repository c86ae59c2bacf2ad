//! Starts a machine on the log of earlier starts.

use super::LeafMachine;
use super::calls::Calls;
use super::clocks::Clocks;
use super::config::LeafConfig;
use super::context::{Context, DiskState, Phase};
use super::counters::Counters;
use super::counters::table::Table;
use super::flushes::Flushes;
use super::idempotency::Idempotency;
use super::idempotency::keys::Keys;
use super::intake::Intake;
use super::intake::acks::Acks;
use super::intake::sessions::Sessions;
use super::leaving::Leaving;
use super::log_builder::LogBuilder;
use super::members::Members;
use super::output::Outputs;
use super::resets::Resets;
use super::uplink::Uplink;
use super::uplink::stream::StreamUplink;
use crate::log::carried::Carried;
use crate::log::recovery::OldStream;
use countree_common::stream::StreamId;
use countree_common::time::Now;
use countree_common::wire::codec::CodecError;
use std::collections::BTreeMap;

impl LeafMachine {
    /// Begins the stream of this incarnation. The first append carries over what earlier ones knew; until it
    /// is durable nothing is acked, and until then the old streams' logs must stay.
    ///
    /// # Errors
    /// When the checkpoint can't be encoded.
    pub fn new(
        config: LeafConfig,
        incarnation: u64,
        carried: &Carried,
        old: BTreeMap<StreamId, OldStream>,
        now: Now,
    ) -> Result<Self, CodecError> {
        let stream = StreamId { leaf: config.leaf.clone(), incarnation };
        let mut table = Table::default();
        let mut sealed = |(id, old): (StreamId, _)| {
            (id.clone(), StreamUplink::sealed(id, old, config.retention, &mut table))
        };
        let old = old.into_iter().map(&mut sealed).collect();
        let context = Context {
            members: Members::new(now.mono),
            clocks: Clocks::begin(now, carried.latest()),
            log: LogBuilder::new(config.segment_bytes),
            disk: DiskState::Works,
            phase: Phase::Open,
            acks: Acks::default(),
            calls: Calls::default(),
            outputs: Outputs::default(),
            config,
        };
        let mut machine = Self {
            counters: Counters::new(table, now.mono + context.config.window),
            uplink: Uplink::new(StreamUplink::live(stream, context.config.retention), old),
            intake: Intake::new(Sessions::carried(carried)),
            idempotency: Idempotency::new(Keys::carried(carried), incarnation),
            resets: Resets::default(),
            flushes: Flushes::default(),
            leaving: Leaving::carried(carried),
            context,
        };
        machine.begin_segment()?;
        machine.leaving.begin(machine.context.log.appended());
        Ok(machine)
    }
}
