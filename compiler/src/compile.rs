//! One proxy's complete Envoy configuration.

use crate::finding::{Finding, Refusal};
use crate::options::{Options, ProxyChoice};
use crate::source::Sources;
use serde_json::Value;

/// What Envoy is started with.
#[derive(Debug, Clone, PartialEq)]
pub struct CompiledProxy {
    /// Envoy's bootstrap; JSON is YAML, so it can be written as `envoy.yaml`.
    pub bootstrap: Value,
    /// The listeners, by port.
    pub listeners: Vec<CompiledListener>,
    /// What is legal but likely not meant.
    pub warnings: Vec<Finding>,
}

/// A listener of a compiled proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompiledListener {
    /// Envoy's name of it, `0.0.0.0_80`.
    pub name: String,
    /// The address it binds to.
    pub address: String,
    /// The port it binds to; 0 when the kernel chooses (Envoy's admin interface tells which).
    pub port: u16,
    /// The port as the Gateway numbers it.
    pub gateway_port: u16,
    /// The hosts it serves, namespaces stripped.
    pub hosts: Vec<String>,
    /// Where to reach it from this machine; empty while the port is unknown.
    pub urls: Vec<String>,
}

/// Compiles the proxy that `choice` names.
///
/// # Errors
/// All findings, when there are errors among them, or when the choice is one that cannot be compiled.
pub fn compile(
    sources: &Sources,
    _choice: &ProxyChoice,
    _options: &Options,
) -> Result<CompiledProxy, Refusal> {
    Err(Refusal { findings: sources.findings().to_vec() })
}
