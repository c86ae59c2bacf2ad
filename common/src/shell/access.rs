//! Authorization of clients by signed tokens (JWT with HS256, RFC 7519), where a cluster asks for them.

use super::clock::wall;
use super::http::error;
use crate::wire::hello::{Conversation, Hello};
use axum::extract::ConnectInfo;
use axum::http::{Extensions, HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::hmac;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The shortest secret that is taken, in bytes: the output of SHA-256 (RFC 7518, 3.2).
pub const SECRET_BYTES_MIN: usize = 32;

/// A right that a token grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// Sending events.
    Send,
    /// Watching totals.
    Watch,
    /// Setting totals to 0.
    Reset,
    /// Taking nodes out, and resizing the cluster.
    Admin,
}

/// The reason why access is denied. Nothing was counted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// No token, or one that does not hold.
    #[error("{0}")]
    Unauthenticated(&'static str),
    /// A good token for something else.
    #[error("this token does not allow to {0}")]
    Forbidden(&'static str),
    /// The cluster asks for no tokens, and the request may come from another machine.
    #[error(
        "only this machine may change the cluster: ask from there, or set auth.secret_file and show a token"
    )]
    NotFromHere,
    /// The secret can't sign anything.
    #[error("the secret has {0} bytes; it takes {SECRET_BYTES_MIN} or more of good randomness")]
    WeakSecret(usize),
}

impl IntoResponse for AccessError {
    fn into_response(self) -> Response {
        match &self {
            Self::Forbidden(_) | Self::NotFromHere => {
                error(StatusCode::FORBIDDEN, "forbidden", self.to_string(), None)
            }
            _ => error(StatusCode::UNAUTHORIZED, "unauthorized", self.to_string(), None),
        }
    }
}

/// The claims of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Claims {
    /// The name of its holder.
    sub: String,
    /// Its expiry, in seconds since the Unix epoch.
    exp: u64,
    /// The rights that it gives.
    rights: Vec<Right>,
}

/// Checks tokens. Without a secret, every client is let in.
#[derive(Debug, Clone, Default)]
pub struct Access {
    key: Option<Arc<hmac::Key>>,
}

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

impl Access {
    /// Lets every client in.
    pub fn open() -> Self {
        Self::default()
    }

    /// Lets clients in that have a token signed with this secret.
    ///
    /// # Errors
    /// When the secret is too short.
    pub fn with_secret(secret: &[u8]) -> Result<Self, AccessError> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(AccessError::WeakSecret(secret.len()));
        }
        Ok(Self { key: Some(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, secret))) })
    }

    /// Makes a token; `None` where none are asked for.
    pub fn mint(&self, subject: &str, rights: &[Right], valid_for: Duration) -> Option<String> {
        let key = self.key.as_ref()?;
        let exp = wall().0 / 1_000 + valid_for.as_secs();
        let claims = Claims { sub: subject.to_owned(), exp, rights: rights.to_vec() };
        let claims = serde_json::to_vec(&claims).ok()?;
        let signed =
            format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(HEADER), BASE64_URL_SAFE_NO_PAD.encode(claims));
        let signature = hmac::sign(key, signed.as_bytes());
        Some(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
    }

    /// Whether the bearer of this token may do this.
    ///
    /// # Errors
    /// When not.
    pub fn check(&self, token: Option<&str>, right: Right) -> Result<(), AccessError> {
        let Some(key) = &self.key else { return Ok(()) };
        let token =
            token.ok_or(AccessError::Unauthenticated("this cluster asks for a token: see countree token"))?;
        let claims = claims(key, token)
            .ok_or(AccessError::Unauthenticated("the token does not hold: make a new one"))?;
        if claims.exp <= wall().0 / 1_000 {
            return Err(AccessError::Unauthenticated("the token has expired: make a new one"));
        }
        match (claims.rights.contains(&right), right) {
            (true, _) => Ok(()),
            (false, Right::Send) => Err(AccessError::Forbidden("send events")),
            (false, Right::Watch) => Err(AccessError::Forbidden("watch totals")),
            (false, Right::Reset) => Err(AccessError::Forbidden("reset totals")),
            (false, Right::Admin) => Err(AccessError::Forbidden("change the cluster")),
        }
    }

    /// [`Access::check`] for the opening of a QUIC stream.
    ///
    /// # Errors
    /// A text for the peer, when not.
    pub fn check_hello(&self, hello: &Hello) -> Result<(), String> {
        let right = if hello.conversation == Conversation::Produce { Right::Send } else { Right::Watch };
        self.check(hello.token.as_deref(), right).map_err(|e| e.to_string())
    }

    /// Whether this HTTP request may change the cluster itself. Where no tokens are asked for, everybody on this
    /// machine may; the extensions hold where the request came from, if that is known.
    ///
    /// # Errors
    /// When not.
    pub fn check_admin(&self, headers: &HeaderMap, extensions: &Extensions) -> Result<(), AccessError> {
        let peer = extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0);
        if self.key.is_none() && !peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback()) {
            return Err(AccessError::NotFromHere);
        }
        self.check_headers(headers, Right::Admin)
    }

    /// [`Access::check`] for an HTTP request with `Authorization: Bearer …`.
    ///
    /// # Errors
    /// When not.
    pub fn check_headers(&self, headers: &HeaderMap, right: Right) -> Result<(), AccessError> {
        let value = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
        self.check(value.and_then(|v| v.strip_prefix("Bearer ")), right)
    }
}

/// The claims of a token whose signature holds. The algorithm is ours to say, not the token's.
fn claims(key: &hmac::Key, token: &str) -> Option<Claims> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?;
    hmac::verify(key, signed.as_bytes(), &signature).ok()?;
    let header: serde_json::Value =
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
    if header.get("alg")?.as_str()? != "HS256" {
        return None;
    }
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_allows_what_it_says_while_it_holds() {
        let access = Access::with_secret(&[7; 32]).unwrap();
        let token = access.mint("someone", &[Right::Watch], Duration::from_secs(60)).unwrap();
        assert_eq!(access.check(Some(&token), Right::Watch), Ok(()));
        assert!(matches!(access.check(Some(&token), Right::Send), Err(AccessError::Forbidden(_))));
        assert!(matches!(access.check(None, Right::Send), Err(AccessError::Unauthenticated(_))));
        let old = access.mint("someone", &[Right::Watch], Duration::ZERO).unwrap();
        assert!(access.check(Some(&old), Right::Watch).is_err());
        let other = Access::with_secret(&[8; 32]).unwrap();
        assert!(other.check(Some(&token), Right::Watch).is_err(), "another secret");
    }

    #[test]
    fn the_cluster_is_changed_from_this_machine_or_with_a_token() {
        let from = |address: &str| {
            let mut extensions = Extensions::new();
            extensions.insert(ConnectInfo(address.parse::<SocketAddr>().unwrap()));
            extensions
        };
        let (here, elsewhere) = (&from("[::ffff:127.0.0.1]:1"), &from("10.0.0.1:1"));
        let none = HeaderMap::new();
        let open = Access::open();
        assert_eq!(open.check_admin(&none, here), Ok(()));
        for peer in [elsewhere, &Extensions::new()] {
            assert_eq!(open.check_admin(&none, peer), Err(AccessError::NotFromHere));
        }
        let access = Access::with_secret(&[7; 32]).unwrap();
        let bearer = |right| {
            let token = access.mint("someone", &[right], Duration::from_secs(60)).unwrap();
            HeaderMap::from_iter([(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap())])
        };
        assert!(
            access.check_admin(&none, here).is_err(),
            "this machine is not enough where tokens are asked for"
        );
        assert!(access.check_admin(&bearer(Right::Send), here).is_err());
        assert_eq!(access.check_admin(&bearer(Right::Admin), elsewhere), Ok(()));
    }

    #[test]
    fn a_tampered_token_does_not_hold() {
        let access = Access::with_secret(&[7; 32]).unwrap();
        let token = access.mint("someone", &[Right::Watch], Duration::from_secs(60)).unwrap();
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let tampered = String::from_utf8(bytes).unwrap();
            // The last character of a base64 text has bits that mean nothing; decoders refuse them.
            assert!(access.check(Some(&tampered), Right::Watch).is_err(), "byte {at}");
        }
    }
}
