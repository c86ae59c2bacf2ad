use super::*;

fn gate() -> Gate {
    let parse = |text: &str| text.parse().unwrap();
    Gate {
        hosts: ["counts.example", "*.svc"].map(|host| host.parse().unwrap()).to_vec(),
        own: vec![parse("203.0.113.7")],
        origins: vec!["https://app.example".parse().unwrap()],
        proxies: vec!["10.9.0.0/16".parse().unwrap()],
        is_open: true,
        side: Side::Whole,
    }
}

const EVENTS: Asked<'static> = Asked {
    method: "POST",
    path: "/v1/events",
    host: Some("127.0.0.1:8080"),
    origin: None,
    is_preflight: false,
    content_type: None,
    forwarding: Forwarding { is_any: false, host: None, scheme: None },
    peer: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
    local: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
};

const DRAIN: Asked<'static> =
    Asked { path: "/v1/nodes/leaf-1/drain", content_type: Some("application/json; charset=utf-8"), ..EVENTS };

fn refused(gate: &Gate, asked: Asked<'_>) -> Option<Refused> {
    match gate.judge(&asked) {
        Verdict::Refuse(refused, _) => Some(refused),
        _ => None,
    }
}

#[test]
fn only_our_own_names_are_answered_to() {
    let local = "10.1.2.3".parse().unwrap();
    for host in [
        "localhost",
        "LOCALHOST:1",
        "127.0.0.1:8080",
        "[::1]:80",
        "counts.example",
        "live.svc",
        "10.1.2.3:80",
        "203.0.113.7",
    ] {
        assert_eq!(refused(&gate(), Asked { host: Some(host), local, ..EVENTS }), None, "{host}");
    }
    for host in
        ["evil.example:8080", "x.counts.example", "10.1.2.4", "localhost.evil.example", "0.0.0.0:8080"]
    {
        let refused = refused(&gate(), Asked { host: Some(host), local, ..EVENTS });
        assert!(matches!(refused, Some(Refused::UnknownHost(_))), "{host}: {refused:?}");
    }
    for host in [None, Some(""), Some("a b"), Some("127.0.0.1:8080, evil.example")] {
        assert_eq!(refused(&gate(), Asked { host, ..EVENTS }), Some(Refused::NoHost), "{host:?}");
    }
}

#[test]
fn pages_of_strangers_are_refused_whatever_they_send() {
    for origin in [
        "http://evil.example",
        "null",
        "http://localhost:8080",
        "http://127.0.0.1:8081",
        "https://app.example:444",
        "http://app.example",
        "x",
    ] {
        for method in ["GET", "HEAD", "POST", "DELETE", "OPTIONS"] {
            let asked = Asked { origin: Some(origin), method, ..EVENTS };
            assert_eq!(refused(&gate(), asked), Some(Refused::Origin), "{method} from {origin}");
        }
    }
    let own = Asked { origin: Some("http://127.0.0.1:8080"), ..EVENTS };
    assert_eq!(gate().judge(&own), Verdict::Pass(Passed::default()));
}

#[test]
fn pages_of_allowed_origins_may_send_and_ask_beforehand() {
    let asked = Asked { origin: Some("https://app.example"), ..EVENTS };
    let passed = Passed { allow_origin: Some("https://app.example".into()), has_credentials: true };
    assert_eq!(gate().judge(&asked), Verdict::Pass(passed.clone()));
    let beforehand = Asked { method: "OPTIONS", is_preflight: true, ..asked };
    assert_eq!(gate().judge(&beforehand), Verdict::Preflight(passed));
    let all = Gate { origins: vec![OriginRule::Any], ..gate() };
    for origin in ["http://anywhere.example", "null"] {
        let passed = Passed { allow_origin: Some("*".into()), has_credentials: false };
        assert_eq!(all.judge(&Asked { origin: Some(origin), ..EVENTS }), Verdict::Pass(passed), "{origin}");
    }
    assert_eq!(
        refused(&all, Asked { origin: Some("http://anywhere.example"), ..DRAIN }),
        Some(Refused::NotFromHere),
        "no page of another origin changes a cluster without keys"
    );
}

#[test]
fn without_keys_only_this_machine_changes_the_cluster_and_not_through_a_proxy() {
    let proxied = Forwarding { is_any: true, ..Forwarding::default() };
    let elsewhere = "10.0.0.1".parse().unwrap();
    let reset = Asked { method: "DELETE", path: "/v1/topics/t", ..EVENTS };
    let keyed = Gate { is_open: false, ..gate() };
    for asked in [DRAIN, reset] {
        assert_eq!(refused(&gate(), asked), None);
        for asked in [Asked { forwarding: proxied, ..asked }, Asked { peer: elsewhere, ..asked }] {
            assert_eq!(refused(&gate(), asked), Some(Refused::NotFromHere), "{}", asked.path);
            assert_eq!(refused(&keyed, asked), None, "the token says who it is");
        }
    }
    assert_eq!(refused(&gate(), Asked { peer: elsewhere, ..EVENTS }), None, "anybody may send");
}

#[test]
fn admin_routes_take_json_only() {
    let keyed = Gate { is_open: false, ..gate() };
    for content_type in
        [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("text/json")]
    {
        for gate in [&gate(), &keyed] {
            assert_eq!(
                refused(gate, Asked { content_type, ..DRAIN }),
                Some(Refused::NotJson),
                "{content_type:?}"
            );
        }
    }
}

#[test]
fn only_a_trusted_proxy_says_what_the_client_asked() {
    let forwarding = Forwarding { is_any: true, host: Some("counts.example"), scheme: Some("https") };
    let page = Asked { origin: Some("https://counts.example"), forwarding, ..EVENTS };
    assert_eq!(refused(&gate(), page), Some(Refused::Origin), "anybody could say so");
    let trusted = Asked { peer: "10.9.0.1".parse().unwrap(), ..page };
    assert_eq!(refused(&gate(), trusted), None);
    let plain = Asked { origin: Some("http://counts.example"), ..trusted };
    assert_eq!(refused(&gate(), plain), Some(Refused::Origin), "the page came without TLS");
    let other = Forwarding { host: Some("evil.example"), ..forwarding };
    let other = Asked { forwarding: other, origin: None, ..trusted };
    assert!(matches!(refused(&gate(), other), Some(Refused::UnknownHost(_))));
}

#[test]
fn a_port_of_its_own_takes_administration_off_the_public_one() {
    let public = Gate { side: Side::Public, ..gate() };
    let admin = Gate { side: Side::Admin, ..gate() };
    for (method, path) in
        [("POST", DRAIN.path), ("GET", "/metrics"), ("GET", "/v1/status"), ("GET", "/v1/manifest")]
    {
        assert_eq!(refused(&public, Asked { method, path, ..DRAIN }), Some(Refused::OtherPort), "{path}");
        assert_eq!(refused(&admin, Asked { method, path, ..DRAIN }), None, "{path}");
    }
    assert_eq!(refused(&public, EVENTS), None);
}
