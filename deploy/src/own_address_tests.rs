use super::*;

fn config(text: &str) -> NodeConfig {
    NodeConfig::parse(text, &|_| None).unwrap()
}

#[tokio::test]
async fn a_node_that_listens_everywhere_is_listed_where_it_reaches_the_roots() {
    let text = "[node]\nname = \"leaf-7\"\nquic = \"0.0.0.0:4433\"\nroots = [\"localhost:1\"]";
    let own = OwnAddress::find(&config(text)).await.unwrap();
    assert_eq!(own.advertise, Some("127.0.0.1:4433".parse().unwrap()));
    let seen = |address: &str| own.seen_from_outside(address.parse().unwrap()).to_string();
    assert_eq!(seen("0.0.0.0:8080"), "127.0.0.1:8080");
    assert_eq!(seen("10.0.0.7:8080"), "10.0.0.7:8080");

    let store = "[cluster]\nstore = \"redis://user:p@localhost/0\"\n[node]\nname = \"root-0\"\nquic = \"0.0.0.0:4433\"";
    assert_eq!(OwnAddress::find(&config(store)).await.unwrap().advertise, own.advertise);

    let alone = config("[node]\nname = \"root-0\"\nquic = \"0.0.0.0:4433\"");
    assert!(OwnAddress::find(&alone).await.unwrap_err().message().contains("node.advertise"));
    let any_port = config("[node]\nname = \"root-0\"\nquic = \"0.0.0.0:0\"");
    assert!(OwnAddress::find(&any_port).await.unwrap_err().message().contains("node.quic"));
}

#[test]
fn a_stores_servers_are_found_in_its_url() {
    let servers =
        |url: &str| servers(&url.parse().unwrap()).iter().map(HostPort::to_string).collect::<Vec<_>>();
    assert_eq!(servers("redis://db"), ["db:6379"]);
    assert_eq!(servers("rediss://:secret@db:6380/0?x=1"), ["db:6380"]);
    assert_eq!(servers("redis-cluster://a:1,user@b:2"), ["a:1", "b:2"]);
    assert_eq!(servers("embedded"), [""; 0]);
}
