//! Runs `countree store acknowledge`: confirms that an operator knows of the changed store of a running cluster.

use crate::arguments::ClusterArguments;
use crate::report::Report;
use countree_common::shell::failure::Failure;
use countree_common::shell::overview::Acknowledged;

const PATH: &str = "/v1/store/acknowledge";

pub(super) async fn run(cluster: ClusterArguments, report: Report) -> Result<(), Failure> {
    let answer = cluster.request("POST", PATH, None, None).await?;
    let acknowledged: Acknowledged = cluster.understand(PATH, answer)?;
    report.print(&acknowledged, || match acknowledged.acknowledged.as_deref() {
        None => "the store is what it was: there was nothing to acknowledge".into(),
        Some("exchanged") => {
            "acknowledged: the cluster goes on with this store; countree audit shows what is lost".into()
        }
        Some(_) => "acknowledged: the cluster is ready again; countree audit shows what is lost".to_owned(),
    });
    Ok(())
}
