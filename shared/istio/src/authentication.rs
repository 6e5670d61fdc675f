//! `PeerAuthentication` and `RequestAuthentication`: who a caller is.

use crate::authorization_policy::{PolicyTargetReference, WorkloadSelector};
use crate::decode::{Timespan, wire, wire_enum};
use std::collections::BTreeMap;

wire! {
    /// `spec` of a PeerAuthentication.
    pub struct PeerAuthentication {
        /// The workloads it applies to.
        "selector" => selector: Option<WorkloadSelector>,
        /// For all ports.
        "mtls" => mtls: Option<MutualTls>,
        /// For single workload ports.
        "portLevelMtls" => port_level_mtls: BTreeMap<String, MutualTls>,
    }
}

wire! {
    /// What a workload accepts.
    pub struct MutualTls {
        /// The mode.
        "mode" => mode: Option<MutualTlsMode>,
    }
}

wire_enum! {
    /// What a workload accepts.
    pub enum MutualTlsMode {
        /// As the level above says.
        "UNSET" = 0 => Unset,
        /// Plain text only.
        "DISABLE" = 1 => Disable,
        /// Both.
        "PERMISSIVE" = 2 => Permissive,
        /// Mutual TLS only.
        "STRICT" = 3 => Strict,
    }
}

wire! {
    /// `spec` of a RequestAuthentication.
    pub struct RequestAuthentication {
        /// The workloads it applies to.
        "selector" => selector: Option<WorkloadSelector>,
        /// The object it is attached to.
        "targetRef" => target_ref: Option<PolicyTargetReference>,
        /// The objects it is attached to.
        "targetRefs" => target_refs: Vec<PolicyTargetReference>,
        /// The issuers.
        "jwtRules" => jwt_rules: Vec<JwtRule>,
    }
}

wire! {
    /// How the tokens of one issuer are verified.
    pub struct JwtRule {
        /// Required `iss`.
        "issuer" => issuer: Option<String>,
        /// Any of these in `aud`.
        "audiences" => audiences: Vec<String>,
        /// Where the keys are.
        "jwksUri" => jwks_uri: Option<String>,
        /// The keys.
        "jwks" => jwks: Option<String>,
        /// Headers with a token.
        "fromHeaders" => from_headers: Vec<JwtHeader>,
        /// Query parameters with a token.
        "fromParams" => from_params: Vec<String>,
        /// Cookies with a token.
        "fromCookies" => from_cookies: Vec<String>,
        /// Header for the payload.
        "outputPayloadToHeader" => output_payload_to_header: Option<String>,
        /// Whether the token goes upstream.
        "forwardOriginalToken" => forward_original_token: Option<bool>,
        /// Headers for claims.
        "outputClaimToHeaders" => output_claim_to_headers: Vec<ClaimToHeader>,
        /// Bound on fetching keys.
        "timeout" => timeout: Option<Timespan>,
        /// Claims that are lists separated by spaces.
        "spaceDelimitedClaims" => space_delimited_claims: Vec<String>,
    }
}

wire! {
    /// A header with a token.
    pub struct JwtHeader {
        /// Name.
        "name" => name: Option<String>,
        /// What stands before the token.
        "prefix" => prefix: Option<String>,
    }
}

wire! {
    /// A header for a claim.
    pub struct ClaimToHeader {
        /// The header.
        "header" => header: Option<String>,
        /// The claim.
        "claim" => claim: Option<String>,
    }
}
