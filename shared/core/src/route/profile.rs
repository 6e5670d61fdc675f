//! What only a route of Envoy's can say about forwarding: mirrors, and where and when a try is repeated.
//!
//! No header tells Envoy's router these things, so the compiled route table has an entry for each [`ForwardingProfile`] in
//! use, and a rule that needs one selects it by the header [`control::PROFILE`](crate::control::PROFILE). Mirrors could be
//! named by headers (`cluster_header`), but Envoy looks those up after the upstream filters ran, the only place that can keep
//! our headers from the upstream.

use super::mirror::Mirror;
use std::fmt::Write as _;

/// Retries in a rule's own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OwnRetries {
    /// Whether hosts that were tried are avoided.
    pub avoid_tried_hosts: bool,
    /// Whether other localities are tried.
    pub remote_localities: bool,
    /// Base interval between tries in milliseconds; Envoy's own, 25 ms, when absent.
    pub backoff_ms: Option<u64>,
}

/// What a rule's Envoy route must have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ForwardingProfile {
    name: String,
    retries: Option<OwnRetries>,
    mirrors: Vec<Mirror>,
}

impl ForwardingProfile {
    /// The profile of a rule; `None` when Envoy's default route will do.
    pub(super) fn new(retries: Option<OwnRetries>, mirrors: Vec<Mirror>) -> Option<Self> {
        if retries.is_none() && mirrors.is_empty() {
            return None;
        }
        let mut name = String::new();
        if let Some(OwnRetries { avoid_tried_hosts, remote_localities, backoff_ms }) = retries {
            name.push_str(if avoid_tried_hosts { "retries=other-hosts" } else { "retries=any-host" });
            if remote_localities {
                name.push_str(",remote-localities");
            }
            if let Some(milliseconds) = backoff_ms {
                let _ = write!(name, ",backoff-{milliseconds}ms");
            }
        }
        for Mirror { cluster, share } in &mirrors {
            let separator = if name.is_empty() { "" } else { ";" };
            let _ = write!(name, "{separator}mirror={cluster}@{share}");
        }
        Some(Self { name, retries, mirrors })
    }

    /// The value of the header that selects it: says what is in it, so that two tables give one profile one name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The rule's own retries; Istio's default applies where it has none.
    #[must_use]
    pub const fn retries(&self) -> Option<OwnRetries> {
        self.retries
    }

    /// Clusters that get copies, and of how many requests in a million.
    pub fn mirrors(&self) -> impl Iterator<Item = (&str, u32)> {
        self.mirrors.iter().map(|mirror| (mirror.cluster.as_str(), mirror.share))
    }
}
