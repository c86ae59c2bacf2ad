//! Tests the commands against a cluster behind an HTTPS proxy with a self-signed certificate.

use crate::cluster::Cluster;
use crate::process::{countree, last_line};
use std::net::SocketAddr;
use std::process::Output;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// Terminates TLS and passes the bytes on.
async fn tls_proxy(listener: TcpListener, tls: TlsAcceptor, behind: String) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, behind) = (tls.clone(), behind.clone());
        tokio::spawn(async move {
            let Ok(mut outside) = tls.accept(stream).await else { return };
            let Ok(mut inside) = TcpStream::connect(behind).await else { return };
            let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
        });
    }
}

#[test]
fn commands_reach_a_cluster_over_https() {
    let cluster = Cluster::start();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let ca = cluster.folder.path().join("proxy.pem");
    std::fs::write(&ca, made.cert.pem()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let behind = cluster.url.trim_start_matches("http://").to_owned();
    runtime.spawn(tls_proxy(listener, TlsAcceptor::from(Arc::new(config)), behind));

    let url = format!("https://localhost:{}", address.port());
    let run =
        |arguments: &[&str]| -> Output { countree(&[arguments, &["--json", "--cluster", &url]].concat()) };
    let ca = ["--ca", ca.to_str().unwrap()];
    for arguments in
        [&["send", "t", "i", "like"][..], &["get", "t"], &["status"], &["watch", "t", "--for", "1s"]]
    {
        let refused = run(arguments);
        let error = String::from_utf8_lossy(&refused.stderr);
        assert!(refused.status.code() == Some(1) && error.contains("--ca or COUNTREE_CA"), "{error}");
        let output = run(&[arguments, &ca].concat());
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(last_line(&run(&["get", "t", ca[0], ca[1]]))["counts"]["i"]["like"], 1);
    let bare = cluster.url.trim_start_matches("http://");
    assert!(countree(&["get", "t", "--cluster", bare]).status.success(), "without a scheme it is HTTP");
}
