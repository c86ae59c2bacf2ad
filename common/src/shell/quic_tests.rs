use super::*;
use crate::cluster::{NodeName, Tier};
use crate::shell::identity::{Authority, anonymous_tls};
use std::net::Ipv4Addr;

fn server(identity: &Identity) -> quinn::ServerConfig {
    server_config(identity.server_tls().unwrap(), Profile::Bulk).unwrap()
}

/// A node that accepts one connection and then dies without a word, as by `kill -9`.
fn die_after_one_connection(identity: Identity, bound: std::sync::mpsc::Sender<SocketAddr>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let handles = runtime.block_on(async {
        let any = (Ipv4Addr::LOCALHOST, 0).into();
        let endpoint = node_endpoint(any, server(&identity), &identity).unwrap();
        bound.send(endpoint.local_addr().unwrap()).unwrap();
        let connection = endpoint.accept().await.unwrap().await.unwrap();
        let (mut send, mut receive) = connection.accept_bi().await.unwrap();
        receive.read_to_end(1).await.unwrap();
        send.write_all(b".").await.unwrap();
        send.finish().unwrap();
        let _ = send.stopped().await;
        (endpoint, connection)
    });
    // Without a runtime the handles can say no goodbye.
    drop(runtime);
    drop(handles);
}

#[test]
fn a_node_that_died_and_came_back_resets_its_old_connections() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::open_or_create(folder.path()).unwrap();
    let name = NodeName::new("leaf-0").unwrap();
    authority.issue_to(folder.path(), &name, Tier::Leaf).unwrap();
    let identity = || Identity::load(folder.path(), &name).unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let first = identity();
    let node = std::thread::spawn(move || die_after_one_connection(first, tell));
    let address = told.recv().unwrap();

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let tls = anonymous_tls(authority.certificate_pem()).unwrap();
        let client = endpoint((Ipv4Addr::LOCALHOST, 0).into(), None).unwrap();
        let config = client_config(tls, Profile::Bulk).unwrap();
        let connection = client.connect_with(config, address, "leaf-0").unwrap().await.unwrap();
        let (mut send, mut receive) = connection.open_bi().await.unwrap();
        send.finish().unwrap();
        receive.read_to_end(1).await.unwrap();
        node.join().unwrap();

        let identity = identity();
        let _again = node_endpoint(address, server(&identity), &identity).unwrap();
        let (mut send, _) = connection.open_bi().await.unwrap();
        send.write_all(b"are you there?").await.unwrap();
        assert_eq!(connection.closed().await, quinn::ConnectionError::Reset);
    });
}
