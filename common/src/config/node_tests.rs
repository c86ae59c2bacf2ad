use super::*;

fn parse(text: &str) -> Result<NodeConfig, String> {
    NodeConfig::parse(text, &|_| None).map_err(|e| e.to_string())
}

#[test]
fn a_file_that_was_written_says_what_was_meant() {
    for text in [
        "[node]\nquic = \"127.0.0.1:0\"",
        "[cluster]\nname = \"other\"\nstore = \"redis://me:se\\\"cret@db:6379/1\"\nwindow = \"250ms\"\n\
         [node]\nname = \"leaf-3\"\nquic = \"0.0.0.0:4433\"\nadvertise = \"10.0.0.7:4433\"\nhttp = \"[::1]:80\"\n\
         roots = [\"root:1\", \"10.0.0.8:2\"]\ndata = \"/a \\\"b\\\"\"\ncertificates = \"c\"\n\
         [leaf]\nretention = \"1s\"\nhorizon = \"11m\"\nlog_bytes = 1000000000\ncapacity = 7\n\
         [broadcast]\ntick = \"5ms\"\n[http]\norigins = [\"https://a.example\", \"*\"]\n\
         hosts = \"*.example,b\"\ntrusted_proxies = [\"10.0.0.0/8\"]\nadmin = \"127.0.0.1:1\"\n[auth]\nsecret_file = \"s\"",
        "[cluster]\nstore = \"redis-cluster://a:1,b:2\"\n[node]\nquic = \"127.0.0.1:1\"",
    ] {
        let config = parse(text).unwrap();
        assert_eq!(parse(&config.to_text()), Ok(config), "{text}");
    }
}

#[test]
fn no_node_tells_others_that_it_is_everywhere() {
    let error = parse("[node]\nquic = \"0.0.0.0:1\"\nadvertise = \"0.0.0.0:1\"").unwrap_err();
    assert!(error.contains("node.advertise") && error.contains("one that they can reach"), "{error}");
}
