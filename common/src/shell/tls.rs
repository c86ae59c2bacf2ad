//! TLS settings of clients: they trust the cluster's CA alone.

use crate::cluster::NodeName;
use crate::wire::ALPN;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{RootCertStore, crypto::ring};
use std::path::PathBuf;
use std::sync::Arc;

/// The reason why an identity can't be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A file is not PEM.
    #[error("{path} does not hold a certificate or key in PEM: {reason}")]
    Pem {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The name is in the certificate of every node, or of every node of a tier.
    #[error("'{0}' can't be one node's name: the certificates of others carry it too; take one like leaf-0")]
    SharedName(NodeName),
    /// A certificate could not be made.
    #[error("a certificate could not be made: {0}")]
    Issue(String),
    /// TLS does not accept the certificates.
    #[error("TLS does not accept these certificates: {0}")]
    Tls(String),
}

/// Reads the CA certificates of a PEM text.
pub(super) fn root_store(ca_pem: &str) -> Result<Arc<RootCertStore>, IdentityError> {
    let bad = |reason: String| IdentityError::Pem { path: "the CA certificate".into(), reason };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
        let certificate = certificate.map_err(|e| bad(e.to_string()))?;
        roots.add(certificate).map_err(|e| bad(e.to_string()))?;
    }
    if roots.is_empty() { Err(bad("it holds no certificate".into())) } else { Ok(Arc::new(roots)) }
}

/// Builds TLS 1.3 settings that trust these certificates alone.
pub(super) fn client_builder(
    roots: Arc<RootCertStore>,
) -> Result<rustls::ConfigBuilder<rustls::ClientConfig, rustls::client::WantsClientCert>, rustls::Error> {
    Ok(rustls::ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots))
}

/// Builds TLS settings for producers and viewers: they check nodes against the CA, and show no certificate.
///
/// # Errors
/// When the PEM holds no CA certificate.
pub fn anonymous_tls(ca_pem: &str) -> Result<rustls::ClientConfig, IdentityError> {
    let mut config = client_builder(root_store(ca_pem)?)
        .map_err(|e| IdentityError::Tls(e.to_string()))?
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}
