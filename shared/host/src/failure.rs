//! What can go wrong while a request is judged. Each refuses the request: what was not judged does not pass.

use crate::host_call::HostError;
use mesh_policy_core::effect::LocalReply;
use mesh_policy_core::request::InvalidHeaderMap;

/// Why a request could not be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No configuration was accepted.
    #[error("no configuration was accepted")]
    NotConfigured,
    /// A call into the proxy failed.
    #[error(transparent)]
    HostCall(#[from] HostError),
    /// The header map could not be read.
    #[error(transparent)]
    HeaderMap(#[from] InvalidHeaderMap),
    /// A rule asks for the direct peer's address, and nobody put it into filter state.
    #[error(
        "a rule asks for the address of the direct peer (`ipBlocks`), and the listener does not publish it: put an \
         `envoy.filters.http.set_filter_state` before this filter, with object key `{}` and value \
         `%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%`",
        mesh_policy_core::control::DIRECT_REMOTE_IP_FILTER_STATE
    )]
    DirectPeerUnknown,
}

impl Failure {
    /// The answer to a request that could not be judged.
    #[must_use]
    pub fn local_reply(self) -> LocalReply {
        let reason = match self {
            Self::NotConfigured => "not_configured",
            Self::HostCall(_) => "host_call_failed",
            Self::HeaderMap(_) => "header_map_unreadable",
            Self::DirectPeerUnknown => "direct_peer_unknown",
        };
        LocalReply {
            status: 500,
            headers: Vec::new(),
            body: Vec::new(),
            grpc_status: None,
            details: format!("mesh_policy_{reason}"),
        }
    }
}
