//! Packs cuts into messages that a root takes.

use super::stream::NamedSums;
use countree_common::cut::Cut;
use countree_common::limits;
use countree_common::wire::codec::{self, CodecError};
use countree_common::wire::uplink::ToRoot;

/// The messages for one root.
#[derive(Default)]
pub(super) struct Frames<'a> {
    frames: Vec<Result<Vec<u8>, CodecError>>,
    cuts: Vec<Cut<NamedSums<'a>>>,
    bytes: usize,
}

impl<'a> Frames<'a> {
    /// The bytes that one message is filled to: few enough that one cut of the largest size still fits behind them.
    const ROOM: usize = limits::NODE_FRAME_BYTES / 16;

    pub(super) fn push(&mut self, cut: Cut<NamedSums<'a>>) {
        let more = 256 + cut.sums.bytes_at_most();
        if self.bytes + more > Self::ROOM || self.cuts.len() >= limits::CUTS_PER_MERGE {
            self.end_frame();
        }
        self.bytes += more;
        self.cuts.push(cut);
    }

    fn end_frame(&mut self) {
        if !self.cuts.is_empty() {
            self.frames.push(codec::encode(&ToRoot::Cuts(std::mem::take(&mut self.cuts))));
            self.bytes = 0;
        }
    }

    pub(super) fn finish(mut self) -> Vec<Result<Vec<u8>, CodecError>> {
        self.end_frame();
        self.frames
    }
}
