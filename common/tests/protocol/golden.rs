//! The golden file: a section for each direction of each conversation, and in it a sample of every form of
//! its messages, as JSON and as bytes.

use crate::sampler::samples;
use crate::shape::Definitions;
use countree_common::delta::Delta;
use countree_common::key::Counter;
use countree_common::wire::batch::{BatchBuilder, BatchView};
use countree_common::wire::frame::{self, FrameKind};
use countree_common::wire::{codec, hello, producer, publish, rpc, uplink, viewer};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::{Debug, Write};

/// Path of the golden file.
pub(crate) const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/protocol-bytes.txt");

const HEAD: &str = "\
# Bodies of frames, checked by the tests of countree-common: docs/protocol.md and docs/protocol-nodes.md say what they mean.
# Each line is a message as JSON, and its bytes in hexadecimal. The values mean nothing: numbers are there in all widths,
# and every variant of every enum once.
";

/// Returns the text that the golden file should have, and the types in it.
pub(crate) fn golden() -> (String, Definitions) {
    let (mut text, mut all) = (HEAD.to_owned(), Definitions::new());
    section::<hello::Hello>("Hello", &mut text, &mut all);
    section::<hello::Refusal>("Refusal", &mut text, &mut all);
    section::<producer::ToLeaf>("ToLeaf", &mut text, &mut all);
    section::<producer::FromLeaf>("FromLeaf", &mut text, &mut all);
    batches(&mut text);
    section::<viewer::ToBroadcast>("ToBroadcast", &mut text, &mut all);
    section::<viewer::FromBroadcast>("FromBroadcast", &mut text, &mut all);
    section::<uplink::ToRoot>("Uplink ToRoot", &mut text, &mut all);
    section::<uplink::FromRoot>("Uplink FromRoot", &mut text, &mut all);
    section::<publish::ToRoot>("Publish ToRoot", &mut text, &mut all);
    section::<publish::FromRoot>("Publish FromRoot", &mut text, &mut all);
    section::<rpc::Question>("Question", &mut text, &mut all);
    section::<rpc::Reply>("Reply", &mut text, &mut all);
    (text, all)
}

fn section<T: Serialize + DeserializeOwned + PartialEq + Debug>(
    name: &str,
    text: &mut String,
    all: &mut Definitions,
) {
    writeln!(text, "\n[{name}]").unwrap();
    for sample in samples::<T>(name, all) {
        let bytes = codec::encode(&sample).unwrap();
        assert_eq!(codec::decode::<T>(&bytes).unwrap(), sample, "it reads back as another message");
        line(&serde_json::to_string(&sample).unwrap(), &bytes, text);
    }
}

/// Batches are not of bincode's form; their samples are a frame each, header included.
fn batches(text: &mut String) {
    text.push_str("\n[Batch: whole frames, as seq, whether names are forgotten first, names, (id, delta)]\n");
    let counters = [("live", "comment-1", "like"), ("live", "é", "view")];
    let of = |seq, reset, names: &[(&str, &str, &str)], events: &[(u32, i64)], text: &mut String| {
        let mut batch = BatchBuilder::default();
        if reset {
            batch.reset_names();
        }
        names.iter().for_each(|(topic, item, kind)| batch.name(&Counter::new(topic, item, kind).unwrap()));
        events.iter().for_each(|(id, delta)| batch.event(*id, Delta::new(*delta).unwrap()));
        let body = batch.build(seq);
        BatchView::parse(&body).unwrap().check_events(2).unwrap();
        let mut bytes = Vec::new();
        frame::put(FrameKind::Batch, &body, &mut bytes);
        line(&serde_json::to_string(&(seq, reset, names, events)).unwrap(), &bytes, text);
    };
    of(1, false, &counters, &[(0, 1), (1, -1), (0, 70_000), (1, -(1 << 40))], text);
    of(2, false, &[], &[(1, 1)], text);
    of(300, true, &counters[1..], &[(0, -2)], text);
}

fn line(value: &str, bytes: &[u8], text: &mut String) {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    writeln!(text, "{value} = {hex}").unwrap();
}

#[test]
fn the_bytes_of_every_message_are_pinned() {
    let (text, _) = golden();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(PATH, &text).unwrap();
    }
    let pinned = std::fs::read_to_string(PATH).unwrap_or_default();
    let differ = pinned.lines().zip(text.lines()).position(|(pinned, now)| pinned != now);
    let differ = differ.or((pinned != text).then(|| pinned.lines().count().min(text.lines().count())));
    if let Some(at) = differ {
        panic!(
            "line {} of docs/protocol-bytes.txt says\n  {}\nand the code\n  {}\nPrograms of other releases and languages \
             speak the former. If the change is meant, and the protocol's number says so, write the file anew: \
             UPDATE_GOLDEN=1 cargo test -p countree-common --test protocol",
            at + 1,
            pinned.lines().nth(at).unwrap_or("(nothing)"),
            text.lines().nth(at).unwrap_or("(nothing)"),
        );
    }
}
