//! Tells one run of a Redis server from another by what `INFO` says.

/// The id of one run of a primary, which no other has: after a restart both of these are new, after a promotion the
/// second is.
pub(super) fn id_of(info: &str) -> Option<String> {
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    Some(format!("{}-{}", field("run_id")?.trim(), field("master_replid")?.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_and_a_promotion_are_told() {
        let info = |run, replication| {
            format!(
                "# Server\r\nrun_id:{run}\r\nx:1\r\n# Replication\r\nmaster_replid:{replication}\r\n\
                     master_replid2:b\r\n"
            )
        };
        let id = id_of(&info("a", "b"));
        assert_eq!(id, id_of(&info("a", "b")));
        assert!(id.is_some() && id != id_of(&info("c", "b")) && id != id_of(&info("a", "c")));
        assert_eq!(id_of("# Server\r\n"), None);
    }
}
