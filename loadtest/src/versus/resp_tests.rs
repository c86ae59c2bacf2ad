use super::*;
use crate::cluster::layout::Ports;
use crate::cluster::process::Act;
use crate::cluster::redis::{self, Fsync};

#[test]
fn commands_and_answers_of_a_real_server_are_understood() {
    if !redis::is_installed().unwrap() {
        // Past the harness, which hides the output of tests that pass.
        let _ = std::io::Write::write_all(&mut std::io::stdout(), b"\nskipped: no redis-server\n");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let port = Ports::default().next().unwrap();
    let mut server = redis::server("redis", folder.path(), port, Fsync::Off).unwrap();
    server.act(Act::Start).unwrap();
    let deadline = crate::clock::now() + Duration::from_secs(20);
    let mut connection = loop {
        match Connection::open(port) {
            Ok(connection) => break connection,
            Err(_) => assert!(crate::clock::now() < deadline, "{}", server.last_words()),
        }
    };
    for _ in 0..1_000 {
        connection.push(&[b"INCR", b"a"]);
    }
    connection.flush(1_000).unwrap();
    connection.push(&[b"HINCRBY", b"h", b"f", b"-7"]);
    connection.flush(1).unwrap();
    for command in [&[&b"GET"[..], b"a"][..], &[b"GET", b"none"], &[b"HGETALL", b"h"], &[b"HGETALL", b"none"]]
    {
        connection.push(command);
    }
    let text = |text: &str| Some(text.to_owned());
    let answers = connection.read(4).unwrap();
    assert_eq!(answers, [vec![text("1000")], vec![None], vec![text("f"), text("-7")], vec![]]);

    connection.push(&[b"HINCRBY", b"a", b"f", b"1"]);
    assert!(format!("{:?}", connection.flush(1)).contains("WRONGTYPE"));
}
