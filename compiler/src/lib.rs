//! Istio resources in, Envoy configuration out.
//!
//! ```text
//! files, folders, stdin --Sources::load--> resources with positions      Findings for what cannot be read
//! Sources --check--> everything that is wrong, in one pass
//! Sources + ProxyChoice --compile--> one proxy's Envoy bootstrap
//! Sources + ProxyChoice --plugin_config--> the JSON of one filter
//! ```
//!
//! What cannot be expressed is refused with a code and a position; nothing is dropped silently.

mod authentication;
mod bypass;
mod certificate;
pub mod check;
pub mod compile;
mod destination;
mod envoy;
pub mod ext_authz;
pub mod finding;
mod gateway;
pub mod identity;
mod mesh_config;
pub mod native;
mod nearest;
pub mod options;
mod peer_authentication;
pub mod plugin;
mod references;
mod security;
mod service;
mod sidecar;
pub mod source;
mod tcp;
mod tls;
mod validate;
mod values;
mod visibility;
pub mod xds;

pub use authentication::filter as authentication_filter;
pub use check::{check, check_under};
pub use compile::{CompiledListener, CompiledProxy, Instance, compile, instances};
pub use envoy::listener::peer_facts;
pub use finding::{Finding, Refusal};
pub use options::{
    AccessLog, Engine, Modules, Options, PathNormalization, ProxyChoice, SdsAddress, WorkloadChoice,
};
pub use plugin::{EnforcedListener, enforced, plugin_config};
pub use source::{LoadError, Sources};
