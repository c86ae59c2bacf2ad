//! Helpers for running nodes: the tier of a name, secrets, certificates, the HTTP port.

use countree_common::access::exposure;
use countree_common::cluster::{NodeName, Tier};
use countree_common::config::manifest::AuthSettings;
use countree_common::shell::access::Access;
use countree_common::shell::failure::Failure;
use countree_common::shell::identity::{Authority, Identity};
use std::net::SocketAddr;
use std::path::Path;
use tokio::net::TcpListener;

/// Reads the tier from the beginning of a node's name.
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

/// Reads a secret from its file, without the newline that editors add.
pub(crate) fn read_secret(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut secret = std::fs::read(path).map_err(|e| Failure::failed(format!("{}: {e}", path.display())))?;
    while secret.last().is_some_and(u8::is_ascii_whitespace) {
        secret.pop();
    }
    Ok(secret)
}

/// Reads the rules of access: open to all, or by tokens.
pub(crate) fn access(settings: &AuthSettings) -> Result<Access, Failure> {
    match &settings.secret_file {
        None => Ok(Access::open()),
        Some(path) => Ok(Access::with_secret(&read_secret(path)?)?),
    }
}

/// Loads a node's certificate and key from the folder. Where there are none and the CA's key is there, makes new ones
/// and keeps them in memory.
pub(crate) fn identity(folder: &Path, name: &NodeName, tier: Tier) -> Result<Identity, Failure> {
    let is_there = |file: &str| folder.join(file).exists();
    if !is_there(&format!("{name}.pem")) && is_there("ca.pem") && is_there("ca.key") {
        return Ok(Authority::open_or_create(folder)?.identity(name, tier)?);
    }
    Ok(Identity::load(folder, name)?)
}

/// Whether everybody may send and watch, since no tokens are asked for.
pub(crate) fn is_open(settings: &AuthSettings) -> bool {
    settings.secret_file.is_none()
}

/// Refuses to let other machines into an open cluster, unless the operator insists.
pub(crate) fn check_exposure(
    settings: &AuthSettings,
    listening: &[(&'static str, SocketAddr)],
    insecure: bool,
) -> Result<(), Failure> {
    match exposure::check(listening) {
        Err(_) if !is_open(settings) => Ok(()),
        Err(_) if insecure => {
            tracing::warn!(
                "--insecure: everybody who reaches this machine may send and watch, without a token"
            );
            Ok(())
        }
        checked => checked.map_err(Failure::usage),
    }
}

/// Binds the HTTP port.
pub(crate) async fn bind_http(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|e| match e.kind() {
        std::io::ErrorKind::AddrInUse => Failure::failed(format!(
            "{address} (TCP) is taken: stop what holds it, or choose another address (--http, or http in its configuration)"
        )),
        _ => Failure::failed(format!("{address} (TCP): {e}")),
    })
}
