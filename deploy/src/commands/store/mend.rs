//! Runs `countree store mend`: repairs a topic in Redis of which a merge was interrupted halfway.

use super::location::{StoreLocation, cluster};
use crate::arguments::MendArguments;
use crate::report::Report;
use countree_common::shell::failure::Failure;
use countree_root::store::AnyStore;
use countree_root::store::redis::Mended;

pub(super) async fn run(arguments: MendArguments, report: Report) -> Result<(), Failure> {
    let MendArguments { store, topic, name, accept } = arguments;
    let location = StoreLocation::parse(&store)?;
    if matches!(location, StoreLocation::Folder(_)) {
        return Err(Failure::usage(
            "an embedded store has no half topics: every merge goes in whole, or not at all",
        ));
    }
    let opened = location.open(&cluster(name, &[])?).await?;
    let AnyStore::Redis(redis) = &*opened.store else { return Ok(()) };
    let (state, text) = match redis.mend(&topic, accept).await? {
        Mended::Whole => ("whole", format!("topic {topic} is whole: there was nothing to mend")),
        Mended::Finished => {
            ("finished", format!("topic {topic} is whole: the merge that was cut in two is in it"))
        }
        Mended::Accepted => (
            "accepted",
            format!("topic {topic} is taken as it is: some totals may lack one merge, or have it twice"),
        ),
        Mended::Half { version } => {
            return Err(Failure::failed(format!(
                "topic {topic} says '{version}', and an earlier release has not written what is left of that merge: restore \
                 the store, or take the topic as it is with --accept, by which totals of one merge may be wrong. Nothing was changed"
            )));
        }
    };
    report.print(&serde_json::json!({ "topic": topic, "state": state }), || text);
    Ok(())
}
