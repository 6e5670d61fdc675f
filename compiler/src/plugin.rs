//! What one filter is told: the resources that matter to its listener, and the workload it acts for.

use crate::finding::Refusal;
use crate::options::{Options, ProxyChoice};
use crate::source::Sources;
use mesh_policy_core::proxy::ProxyContext;
use serde_json::Value;

/// One listener of a proxy, with what its filters enforce.
#[derive(Debug, Clone, PartialEq)]
pub struct EnforcedListener {
    /// `0.0.0.0_80` for a gateway, the workload's name for a sidecar.
    pub name: String,
    /// The port as the Gateway numbers it.
    pub port: Option<u16>,
    /// Who enforces, for `RouteTable::compile` and `Authorizer::compile`.
    pub proxy: ProxyContext,
    /// The plugin configuration of its filters.
    pub plugin_config: Value,
}

/// The listeners of a proxy: one for each port of a gateway, one for a workload.
///
/// # Errors
/// All findings, when there are errors among them.
pub fn enforced(
    sources: &Sources,
    _choice: &ProxyChoice,
    _options: &Options,
) -> Result<Vec<EnforcedListener>, Refusal> {
    Err(Refusal { findings: sources.findings().to_vec() })
}

/// The plugin configuration of a proxy's filters; for a gateway with several listeners, one without a port.
///
/// # Errors
/// All findings, when there are errors among them.
pub fn plugin_config(sources: &Sources, _choice: &ProxyChoice, _options: &Options) -> Result<Value, Refusal> {
    Err(Refusal { findings: sources.findings().to_vec() })
}
