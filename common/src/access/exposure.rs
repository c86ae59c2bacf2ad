//! Addresses that an open cluster may listen on.

use std::net::{IpAddr, SocketAddr};

/// A cluster that asks for no tokens, listening where others reach it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{setting} = {address} is reached by other machines, and without keys everybody there may send, watch and reset: set auth.secret_file, listen on 127.0.0.1, or say --insecure (COUNTREE_INSECURE=true)"
)]
pub struct Exposed {
    setting: &'static str,
    address: SocketAddr,
}

/// Whether only this machine reaches an address.
pub fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// Finds the first of these settings that lets other machines in.
///
/// # Errors
/// When there is one.
pub fn check(listening: &[(&'static str, SocketAddr)]) -> Result<(), Exposed> {
    let exposed = listening.iter().find(|(_, address)| !is_loopback(address.ip()));
    exposed.map_or(Ok(()), |(setting, address)| Err(Exposed { setting, address: *address }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_no_exposure() {
        let check = |address: &str| check(&[("http.listen", address.parse().unwrap())]);
        for here in ["127.0.0.1:8080", "127.9.9.9:1", "[::1]:0", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(check(here), Ok(()), "{here}");
        }
        for there in ["0.0.0.0:8080", "[::]:1", "10.0.0.7:80", "192.168.1.2:1"] {
            let error = check(there).unwrap_err().to_string();
            assert!(error.contains("http.listen") && error.contains("--insecure"), "{error}");
        }
    }
}
