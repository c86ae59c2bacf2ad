use super::*;

fn config(text: &str) -> NodeConfig {
    NodeConfig::parse(text, &|_| None).unwrap()
}

#[test]
fn replicas_on_one_folder_take_the_lowest_free_names() {
    let folder = tempfile::tempdir().unwrap();
    let take = || free_name(Tier::Leaf, folder.path()).unwrap();
    let (first, second, third) = (take(), take(), take());
    let names = [&first, &second, &third].map(|(name, _)| name.to_string());
    assert_eq!(names, ["leaf-0", "leaf-1", "leaf-2"]);
    assert_eq!(free_name(Tier::Root, folder.path()).unwrap().0.as_str(), "root-0", "tiers do not compete");
    drop(second);
    assert_eq!(take().0.as_str(), "leaf-1", "what it left behind has an owner again");
}

#[tokio::test]
async fn a_node_that_listens_everywhere_is_listed_where_it_reaches_the_roots() {
    let text = "[node]\nname = \"leaf-7\"\nquic = \"0.0.0.0:4433\"\nroots = [\"localhost:1\"]";
    let place = Place::find(Tier::Leaf, &config(text)).await.unwrap();
    assert_eq!(place.advertise, Some("127.0.0.1:4433".parse().unwrap()));
    let seen = |address: &str| place.seen_from_outside(address.parse().unwrap()).to_string();
    assert_eq!(seen("0.0.0.0:8080"), "127.0.0.1:8080");
    assert_eq!(seen("10.0.0.7:8080"), "10.0.0.7:8080");

    let store = "[cluster]\nstore = \"redis://user:p@localhost/0\"\n[node]\nname = \"root-0\"\nquic = \"0.0.0.0:4433\"";
    assert_eq!(Place::find(Tier::Root, &config(store)).await.unwrap().advertise, place.advertise);

    let alone = config("[node]\nname = \"root-0\"\nquic = \"0.0.0.0:4433\"");
    assert!(Place::find(Tier::Root, &alone).await.unwrap_err().message().contains("node.advertise"));
    let any_port = config("[node]\nname = \"root-0\"\nquic = \"0.0.0.0:0\"");
    assert!(Place::find(Tier::Root, &any_port).await.unwrap_err().message().contains("node.quic"));
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
