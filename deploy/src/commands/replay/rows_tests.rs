use super::*;

const HEADER: &str = "t_ms,topic,item,kind,delta,actor\n";

fn trace(rows: &[u8], from_line: u64) -> Trace<std::io::Cursor<Vec<u8>>> {
    let file = [HEADER.as_bytes(), rows].concat();
    Trace::open(std::io::Cursor::new(file), from_line).unwrap()
}

/// Each row's lines, and what is wrong with it.
fn all(rows: &str, from_line: u64) -> Vec<(String, Option<String>)> {
    let mut trace = trace(rows.as_bytes(), from_line);
    let mut found = Vec::new();
    while let Some((lines, row)) = trace.next().unwrap() {
        found.push((lines.to_string(), row.err().map(|e| e.to_string())));
    }
    found
}

#[test]
fn bad_rows_are_told_by_line_and_reason() {
    let long = "x".repeat(129);
    let rows = format!(
        "0,t,a,like,1,1\n1,t,a,like,x,1\n\n\n2,t,a,like,0,1\n3,t,{long},like,1,1\n4,t,a\n-1,t,a,like,1,1\n\
         5,t,\"a\nb\",like,0,1\r\n6,t,a,like,9007199254740992,1\n7,t,a,like,1,"
    );
    let found = all(&rows, 0);
    let lines: Vec<_> = found.iter().map(|(line, _)| line.as_str()).collect();
    let expected =
        ["line 2", "line 3", "line 6", "line 7", "line 8", "line 9", "lines 10 to 11", "line 12", "line 13"];
    assert_eq!(lines, expected, "{found:?}");
    let words = ["", "'x'", "delta is 0", "129 bytes", "3 fields", "'-1'", "delta is 0", "out of range", ""];
    for ((line, error), words) in found.iter().zip(words) {
        assert_eq!(error.is_some(), !words.is_empty(), "{line}: {error:?}");
        assert!(error.as_deref().unwrap_or_default().contains(words), "{line}: {error:?}");
    }
}

#[test]
fn rows_before_the_line_to_go_on_from_are_passed_over_unread() {
    let file = b"0,t,a,like,1,1\n0,t,caf\xe9,like,1,1\n0,t,b,like,1,1\n";
    let mut whole = trace(file, 0);
    whole.next().unwrap();
    let stopped = whole.next().unwrap_err().to_string();
    assert_eq!(stopped, "line 3: field 3 is not UTF-8");
    let mut rest = trace(file, 4);
    let (lines, row) = rest.next().unwrap().unwrap();
    assert_eq!((lines.first, row.unwrap().event.counter.item.as_str()), (4, "b"));
    assert!(rest.next().unwrap().is_none());
}

#[test]
fn a_quote_that_is_not_closed_is_told_where_it_opens() {
    for after in [1, 10_000] {
        let good = "0,t,a,like,1,1\n";
        let mut trace = trace(format!("{good}0,t,\"a,like,1,1\n{}", good.repeat(after)).as_bytes(), 0);
        trace.next().unwrap();
        let stopped = trace.next().unwrap_err().to_string();
        let told = stopped.starts_with("lines 3 to") && stopped.ends_with("not closed");
        assert!(told, "{stopped}");
    }
}

#[test]
fn another_file_is_no_trace() {
    for file in ["", "a,b\n", "{}", "t_ms,topic,item,kind,delta\n"] {
        assert!(matches!(Trace::open(file.as_bytes(), 0), Err(TraceError::Header)), "{file}");
    }
    let marked = format!("\u{feff}{HEADER}0,t,a,like,1,1\n");
    assert!(Trace::open(marked.as_bytes(), 0).unwrap().next().unwrap().is_some());
}
