use super::*;
use std::time::Duration;

fn parse(text: &str) -> Result<Manifest, String> {
    Manifest::parse(text, &|_| None).map_err(|e| e.to_string())
}

#[test]
fn the_built_in_manifest_is_what_the_contract_says() {
    let manifest = parse(BUILT_IN).unwrap();
    assert_eq!(
        (manifest.leaf.tier.replicas, manifest.root.replicas, manifest.broadcast.tier.replicas),
        (2, 1, 1)
    );
    assert_eq!(manifest.cluster.store, StoreUrl::Embedded);
    assert_eq!(manifest.cluster.window, Duration::from_millis(100));
}

#[test]
fn a_manifest_that_names_no_sizes_has_those_of_the_built_in_one() {
    let (empty, built_in) = (parse("").unwrap(), parse(BUILT_IN).unwrap());
    assert_eq!(empty, built_in);
    assert_eq!(parse("[leaf]\nretention = \"1m\"").unwrap().leaf.tier.replicas, 2);
}

#[test]
fn refusals_name_the_key_and_the_range() {
    for (text, words) in [
        ("[leaf]\nreplicas = 0", ["leaf.replicas", "1 to 256"]),
        ("[leaf]\nreplicas = -1", ["leaf.replicas", "1 to 256"]),
        ("[root]\nreplicas = 1e9", ["root.replicas", "1 to 256"]),
        ("[leaf]\nreplicaz = 2", ["leaf.replicaz", "replicas"]),
        ("[leef]\nreplicas = 2", ["leef", "[leaf]"]),
        ("[cluster]\nwindow = \"1ms\"", ["cluster.window", "5ms"]),
        ("[cluster]\nname = \"Not A Name\"", ["cluster.name", "a-z"]),
        ("[cluster]\nstore = \"mysql://x\"", ["cluster.store", "redis-cluster://"]),
        (
            "[leaf]\nquic_port = 5000\nreplicas = 4\n[root]\nquic_port = 5002",
            ["leaf.quic_port", "root.quic_port"],
        ),
        ("replicas = 3", ["replicas", "[leaf]"]),
        ("[leaf]\ncapacity = 0", ["leaf.capacity", "1 to"]),
        ("[cluster]\nprocesses = \"many\"", ["cluster.processes", "per-node"]),
        ("[cluster]\nprocesses = \"per-node\"\n[root]\nreplicas = 2", ["root.replicas", "Redis"]),
        ("[http]\norigins = [\"app.example\"]", ["http.origins", "https://app.example"]),
        ("[http]\nhosts = [\"a:80\"]", ["http.hosts", "without a port"]),
        ("[http]\ntrusted_proxies = [\"nginx\"]", ["http.trusted_proxies", "10.0.0.0/8"]),
        ("[http]\nadmin = \"x\"", ["http.admin", "127.0.0.1:8081"]),
        ("[http]\nquic_host = \"0.0.0.0\"", ["http.quic_host", "this machine"]),
    ] {
        let error = parse(text).unwrap_err();
        assert!(words.iter().all(|w| error.contains(w)), "{text}: {error}");
    }
}

#[test]
fn the_environment_overrides_the_file() {
    let environment = |name: &str| (name == "COUNTREE_LEAF_REPLICAS").then(|| "7".to_owned());
    let manifest = Manifest::parse(BUILT_IN, &environment).unwrap();
    assert_eq!(manifest.leaf.tier.replicas, 7);
}

#[test]
fn store_urls_show_no_password() {
    let store: StoreUrl = "redis://user:secret@db:6379/0".parse().unwrap();
    assert_eq!(store.to_string(), "redis://db:6379/0");
}

#[test]
fn only_the_number_of_nodes_is_taken_from_another_manifest() {
    let manifest = parse(BUILT_IN).unwrap();
    let other =
        parse("[leaf]\nreplicas = 5\ncapacity = 9\n[root]\nreplicas = 3\n[broadcast]\nreplicas = 2").unwrap();
    let resized = manifest.resized_like(&other);
    let sizes = [Tier::Leaf, Tier::Root, Tier::Broadcast].map(|tier| resized.replicas(tier));
    assert_eq!((sizes, resized.leaf.capacity), ([5, 3, 2], manifest.leaf.capacity));
    assert_eq!(resized.resized_like(&manifest), manifest);
}
