//! Routes by who they are for.

/// The class of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteClass {
    /// For producers, viewers and probes.
    Public,
    /// Resets a topic, or forgets it.
    Reset,
    /// Changes the cluster, or shows how that goes.
    Admin,
    /// Shows the inside of the cluster: metrics and status.
    Insight,
}

impl RouteClass {
    /// The class of a request's method and path. Paths are compared as they were sent, as the router does.
    pub fn of(method: &str, path: &str) -> Self {
        let below = |prefix: &str| path.starts_with(prefix);
        match path {
            "/v1/manifest" | "/v1/imports" | "/v1/backups" => Self::Admin,
            "/metrics" | "/v1/status" => Self::Insight,
            _ if below("/v1/nodes/") || below("/v1/store/") => Self::Admin,
            _ if below("/v1/topics/") && method == "DELETE" => Self::Reset,
            _ => Self::Public,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_the_cluster_is_admin() {
        for (method, path) in [
            ("POST", "/v1/nodes/leaf-1/drain"),
            ("DELETE", "/v1/nodes/leaf-1"),
            ("POST", "/v1/manifest"),
            ("GET", "/v1/manifest"),
            ("POST", "/v1/store/acknowledge"),
            ("POST", "/v1/imports"),
            ("POST", "/v1/backups"),
        ] {
            assert_eq!(RouteClass::of(method, path), RouteClass::Admin, "{method} {path}");
        }
        assert_eq!(RouteClass::of("DELETE", "/v1/topics/t"), RouteClass::Reset);
        assert_eq!(RouteClass::of("GET", "/v1/topics/t"), RouteClass::Public);
        assert_eq!(RouteClass::of("GET", "/metrics"), RouteClass::Insight);
        assert_eq!(RouteClass::of("POST", "/v1/events"), RouteClass::Public);
    }
}
