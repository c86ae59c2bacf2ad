//! Identities of nodes: the cluster's CA, and the certificates it issues. Nodes authenticate each other by
//! them; producers and viewers check them and have none.

pub use super::tls::{IdentityError, anonymous_tls};

use super::tls::{client_builder, root_store};
use crate::cluster::{LOCALHOST, NodeName, Tier};
use crate::wire::ALPN;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, crypto::ring};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

impl From<rcgen::Error> for IdentityError {
    fn from(e: rcgen::Error) -> Self {
        Self::Issue(e.to_string())
    }
}

fn file<T>(path: &Path, result: std::io::Result<T>) -> Result<T, IdentityError> {
    result.map_err(|source| IdentityError::File { path: path.to_owned(), source })
}

/// Writes a file that only its owner can read, whole or not at all.
fn write_private(path: &Path, text: &str) -> Result<(), IdentityError> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let new = path.with_extension("new");
    let mut open = std::fs::OpenOptions::new();
    open.write(true).create(true).truncate(true).mode(0o600);
    let mut handle = file(&new, open.open(&new))?;
    file(&new, handle.write_all(text.as_bytes()).and_then(|()| handle.sync_all()))?;
    file(path, std::fs::rename(&new, path))
}

/// The parameters of every CA certificate, but for its key. Fixed, so that an issuer can be made from the key
/// alone.
fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, "countree CA");
    params
}

/// A certificate authority: its certificate, and the key that signs.
#[derive(Debug)]
pub struct Authority {
    certificate_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Opens the CA in `dir` (`ca.pem`, `ca.key`), or makes one there.
    ///
    /// # Errors
    /// When the files can't be read or written, or are malformed.
    pub fn open_or_create(dir: &Path) -> Result<Self, IdentityError> {
        let (certificate_path, key_path) = (dir.join("ca.pem"), dir.join("ca.key"));
        file(dir, std::fs::create_dir_all(dir))?;
        if !certificate_path.exists() {
            let key = KeyPair::generate()?;
            let certificate = authority_params().self_signed(&key)?;
            // The key first: a certificate without its key could never issue anything.
            write_private(&key_path, &key.serialize_pem())?;
            write_private(&certificate_path, &certificate.pem())?;
        }
        let certificate_pem = file(&certificate_path, std::fs::read_to_string(&certificate_path))?;
        let key_pem = file(&key_path, std::fs::read_to_string(&key_path))?;
        let pem = |path: &Path, reason: String| IdentityError::Pem { path: path.to_owned(), reason };
        let key = KeyPair::from_pem(&key_pem).map_err(|e| pem(&key_path, e.to_string()))?;
        root_store(&certificate_pem)?;
        Ok(Self { certificate_pem, issuer: Issuer::new(authority_params(), key) })
    }

    /// Issues a node's certificate and key, in PEM, valid for its own name, its tier's name and `localhost`.
    ///
    /// # Errors
    /// When the certificate can't be made.
    pub fn issue(&self, name: &NodeName, tier: Tier) -> Result<(String, String), IdentityError> {
        if name.is_shared() {
            return Err(IdentityError::SharedName(name.clone()));
        }
        let key = KeyPair::generate()?;
        let names = vec![name.as_str().to_owned(), tier.to_string(), LOCALHOST.to_owned()];
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, name.as_str());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }

    /// Issues an identity without writing to disk.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn identity(&self, name: &NodeName, tier: Tier) -> Result<Identity, IdentityError> {
        let (certificate, key) = self.issue(name, tier)?;
        Identity::from_pem(&self.certificate_pem, &certificate, &key)
    }

    /// Writes a node's `NAME.pem` and `NAME.key` to `dir`.
    ///
    /// # Errors
    /// When it can't be made or written.
    pub fn issue_to(&self, dir: &Path, name: &NodeName, tier: Tier) -> Result<(), IdentityError> {
        let (certificate, key) = self.issue(name, tier)?;
        write_private(&dir.join(format!("{name}.key")), &key)?;
        write_private(&dir.join(format!("{name}.pem")), &certificate)
    }

    /// The CA's certificate in PEM: what clients need to check nodes.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }
}

/// A node's certificate and key, and the CA that it and its peers are checked against.
#[derive(Debug)]
pub struct Identity {
    ca_pem: String,
    roots: Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// Returns the fingerprints of certificate authorities: the SHA-256 of each certificate in the PEM, in
/// hexadecimal digits.
///
/// # Errors
/// When the text is not PEM.
pub fn fingerprints(ca_pem: &str) -> Result<BTreeSet<String>, IdentityError> {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let fingerprint = |certificate: CertificateDer<'_>| {
        hex(::ring::digest::digest(&::ring::digest::SHA256, &certificate).as_ref())
    };
    let bad = |reason: String| IdentityError::Pem { path: "the CA certificate".into(), reason };
    let certificates = CertificateDer::pem_slice_iter(ca_pem.as_bytes());
    certificates.map(|found| found.map(fingerprint).map_err(|e| bad(e.to_string()))).collect()
}

impl Identity {
    /// Builds an identity from PEM texts.
    ///
    /// # Errors
    /// When one of them is malformed.
    pub fn from_pem(ca: &str, certificate: &str, key: &str) -> Result<Self, IdentityError> {
        let bad = |what: &str, reason: String| IdentityError::Pem { path: what.into(), reason };
        let chain = CertificateDer::pem_slice_iter(certificate.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| bad("the node's certificate", e.to_string()))?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .map_err(|e| bad("the node's key", e.to_string()))?;
        Ok(Self { ca_pem: ca.to_owned(), roots: root_store(ca)?, chain, key })
    }

    /// Loads an identity from the files `ca.pem`, `NAME.pem` and `NAME.key` in `dir`, as `countree certs`
    /// makes them.
    ///
    /// # Errors
    /// When a file can't be read or is malformed.
    pub fn load(dir: &Path, name: &NodeName) -> Result<Self, IdentityError> {
        let read = |file_name: String| {
            let path = dir.join(file_name);
            file(&path, std::fs::read_to_string(&path))
        };
        Self::from_pem(&read("ca.pem".into())?, &read(format!("{name}.pem"))?, &read(format!("{name}.key"))?)
    }

    /// The CA's certificate in PEM, for clients.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Derives a key for another purpose, the same at every start of the node. Each purpose has its own key,
    /// and none reveals the node's own.
    pub fn derived_key(&self, purpose: &str) -> [u8; 32] {
        let own = ::ring::hmac::Key::new(::ring::hmac::HMAC_SHA256, self.key.secret_der());
        let mut key = [0; 32];
        key.copy_from_slice(::ring::hmac::sign(&own, purpose.as_bytes()).as_ref());
        key
    }

    /// TLS settings for accepting: peers may show a certificate, which then has to be of this CA.
    ///
    /// # Errors
    /// When TLS does not accept the identity.
    pub fn server_tls(&self) -> Result<rustls::ServerConfig, IdentityError> {
        let tls = |e: &dyn std::fmt::Display| IdentityError::Tls(e.to_string());
        let provider = Arc::new(ring::default_provider());
        let verifier =
            rustls::server::WebPkiClientVerifier::builder_with_provider(self.roots.clone(), provider.clone())
                .allow_unauthenticated()
                .build()
                .map_err(|e| tls(&e))?;
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|e| tls(&e))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .map_err(|e| tls(&e))?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        // Early data can be replayed by anyone on the path.
        config.max_early_data_size = 0;
        Ok(config)
    }

    /// TLS settings for connecting to another node, with this node's certificate.
    ///
    /// # Errors
    /// When TLS does not accept the identity.
    pub fn client_tls(&self) -> Result<rustls::ClientConfig, IdentityError> {
        let tls = |e: rustls::Error| IdentityError::Tls(e.to_string());
        let mut config = client_builder(self.roots.clone())
            .map_err(tls)?
            .with_client_auth_cert(self.chain.clone(), self.key.clone_key())
            .map_err(tls)?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(config)
    }
}
