//! Follows docs/tutorial.md: its page, behind its nginx, counts a click and shows the number.

use crate::cluster::Cluster;
use crate::page::{browse, titles};
use crate::process::TestProcess;
use crate::shared::ROOT;
use crate::shared::command::skip;
use crate::waiting::eventually;
use std::io::ErrorKind;
use std::net::TcpStream;
use std::process::Command;

/// Clicks once the page has loaded, and shows the number in its title, which the test can read.
const CLICK: &str = "<script type=\"module\">
  document.getElementById('like').click();
  setInterval(() => { document.title = 'likes: ' + document.getElementById('likes').textContent; }, 50);
</script>
";

/// Returns the text of the document's only code block in a language.
fn code_block(document: &str, language: &str) -> String {
    let (_, rest) = document.split_once(&format!("```{language}\n")).unwrap();
    let (block, rest) = rest.split_once("```").unwrap();
    assert!(!rest.contains(&format!("```{language}\n")), "one block of {language}");
    block.to_owned()
}

#[test]
fn the_tutorials_page_counts_a_click_and_shows_it() {
    let tutorial = std::fs::read_to_string(format!("{ROOT}/docs/tutorial.md")).unwrap();
    let cluster = Cluster::start();
    let folder = cluster.folder.path().join("likes");
    for name in ["public", "tmp"] {
        std::fs::create_dir_all(folder.join(name)).unwrap();
    }
    std::fs::write(folder.join("public/index.html"), code_block(&tutorial, "html") + CLICK).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = code_block(&tutorial, "nginx")
        .replace("http://127.0.0.1:8080", &cluster.url)
        .replace("127.0.0.1:8000", &format!("127.0.0.1:{port}"));
    // A master that runs as root would give its files to a user who can't reach this folder.
    std::fs::write(folder.join("nginx.conf"), format!("master_process off;\n{settings}")).unwrap();
    let nginx = Command::new("nginx")
        .args(["-p", ".", "-e", "stderr", "-c", "nginx.conf"])
        .current_dir(&folder)
        .spawn();
    let _nginx = match nginx {
        Ok(child) => TestProcess::of(child),
        Err(e) if e.kind() == ErrorKind::NotFound => return skip("the tutorial (no nginx)"),
        Err(e) => panic!("nginx: {e}"),
    };
    eventually("nginx answers", || TcpStream::connect(("127.0.0.1", port)).ok());
    let url = format!("http://127.0.0.1:{port}/");
    let Some((_browser, browser)) = browse(&url, &cluster.folder.path().join("profile")) else { return };
    let is_shown = |titles: Vec<String>| titles.iter().any(|title| title == "likes: 1");
    eventually("the click is shown", || titles(browser).is_some_and(is_shown).then_some(()));
    assert_eq!(cluster.sum("blog", "like"), 1);
    assert_eq!(
        crate::shared::ask(&url[..url.len() - 1], "/v1/topics/blog").unwrap()["counts"]["first-post"]["like"],
        1
    );
}
