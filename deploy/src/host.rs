//! What running nodes takes, alone or together: names, secrets, an HTTP port.

use countree_common::cluster::{NodeName, Tier};
use countree_common::config::manifest::AuthSettings;
use countree_common::shell::access::Access;
use countree_common::shell::failure::Failure;
use countree_common::shell::identity::{Authority, Identity};
use std::net::SocketAddr;
use std::path::Path;
use tokio::net::TcpListener;

/// The tier that a node's name begins with.
pub(crate) fn tier_of(name: &NodeName) -> Result<Tier, Failure> {
    match name.as_str().split('-').next() {
        Some("leaf") => Ok(Tier::Leaf),
        Some("root") => Ok(Tier::Root),
        Some("broadcast") => Ok(Tier::Broadcast),
        _ => Err(Failure::usage(format!(
            "'{name}' does not say its tier: it takes a name like leaf-0, root-0 or broadcast-0"
        ))),
    }
}

/// A secret from its file, without the newline that editors add.
pub(crate) fn read_secret(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut secret = std::fs::read(path).map_err(|e| Failure::failed(format!("{}: {e}", path.display())))?;
    while secret.last().is_some_and(u8::is_ascii_whitespace) {
        secret.pop();
    }
    Ok(secret)
}

/// Who may send and watch.
pub(crate) fn access(settings: &AuthSettings) -> Result<Access, Failure> {
    match &settings.secret_file {
        None => Ok(Access::open()),
        Some(path) => Ok(Access::with_secret(&read_secret(path)?)?),
    }
}

/// A node's certificate and key: those in the folder, or, where there are none and the CA's key is there, new ones
/// that are kept in memory.
pub(crate) fn identity(folder: &Path, name: &NodeName, tier: Tier) -> Result<Identity, Failure> {
    let is_there = |file: &str| folder.join(file).exists();
    if !is_there(&format!("{name}.pem")) && is_there("ca.pem") && is_there("ca.key") {
        return Ok(Authority::open_or_create(folder)?.identity(name, tier)?);
    }
    Ok(Identity::load(folder, name)?)
}

/// Takes the HTTP port.
pub(crate) async fn bind_http(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|e| match e.kind() {
        std::io::ErrorKind::AddrInUse => Failure::failed(format!(
            "{address} (TCP) is taken: stop what holds it, or choose another address (--http, or http in its configuration)"
        )),
        _ => Failure::failed(format!("{address} (TCP): {e}")),
    })
}
