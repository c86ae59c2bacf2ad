//! Runs `countree token` and `countree certs`: makes tokens for people and certificates for nodes.

use crate::arguments::{CertsArguments, RightArgument, TokenArguments};
use crate::host::{read_secret, tier_of};
use crate::report::Report;
use countree_common::shell::access::{Access, Right};
use countree_common::shell::failure::Failure;
use countree_common::shell::identity::Authority;

pub(super) fn token(arguments: &TokenArguments, report: Report) -> Result<(), Failure> {
    let access = Access::with_secret(&read_secret(&arguments.secret_file)?)?;
    let right = |r: &RightArgument| match r {
        RightArgument::Send => Right::Send,
        RightArgument::Watch => Right::Watch,
        RightArgument::Reset => Right::Reset,
        RightArgument::Admin => Right::Admin,
    };
    let rights: Vec<_> = arguments.rights.iter().map(right).collect();
    let token = access
        .mint(&arguments.subject, &rights, arguments.duration)
        .ok_or_else(|| Failure::failed("the token could not be signed"))?;
    report.print(&serde_json::json!({ "token": token }), || token.clone());
    Ok(())
}

pub(super) fn certs(arguments: &CertsArguments, report: Report) -> Result<(), Failure> {
    let nodes: Vec<_> = arguments
        .nodes
        .iter()
        .map(|name| tier_of(name).map(|tier| (name, tier)))
        .collect::<Result<_, _>>()?;
    let authority = Authority::open_or_create(arguments.ca.as_ref().unwrap_or(&arguments.dir))?;
    if arguments.ca.is_some() {
        std::fs::create_dir_all(&arguments.dir)?;
        std::fs::write(arguments.dir.join("ca.pem"), authority.certificate_pem())?;
    }
    for (name, tier) in &nodes {
        authority.issue_to(&arguments.dir, name, *tier)?;
    }
    let dir = arguments.dir.display().to_string();
    let value = serde_json::json!({ "dir": dir, "nodes": arguments.nodes });
    report.print(&value, || {
        format!("{dir}: a CA (keep ca.key away from nodes) and certificates for {} nodes", nodes.len())
    });
    Ok(())
}
