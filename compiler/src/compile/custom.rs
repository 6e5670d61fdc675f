//! What stands in front of everything else that decides at a listener, where CUSTOM policies apply: who is asked, and the asking.

use crate::envoy::cluster::{self, Clusters};
use crate::envoy::filter;
use crate::ext_authz::Providers;
use crate::native;
use crate::options::{Engine, Options};
use crate::plugin::EnforcedListener;
use crate::service::{Service, protocol};
use crate::source::Sources;
use crate::values::Protocol;
use mesh_policy_istio::problem::Problems;
use serde_json::{Value, json};
use std::hash::{DefaultHasher, Hash, Hasher};

/// The external authorizers that a proxy with these services and clusters reaches.
pub(super) fn providers(sources: &Sources, services: &[Service<'_>], clusters: &Clusters) -> Providers {
    let Some(mesh) = sources.mesh_config() else { return Providers::default() };
    Providers::new(&mesh.config, |host, port| {
        let name = cluster::name(port, "", host);
        let Some(service) = services.iter().find(|service| service.host == host) else {
            return Err(format!("the provider's service `{host}` is not known to the proxy"));
        };
        if clusters.by_name.contains_key(&name) {
            Ok(name)
        } else {
            Err(format!(
                "the provider's service `{host}` has no port {port}: its ports are {}",
                service.show_ports()
            ))
        }
    })
}

/// The filters of a listener; none where no CUSTOM policy applies.
pub(super) fn filters(
    name: &str,
    enforced: &EnforcedListener,
    providers: &Providers,
    options: &Options,
    problems: &mut Problems,
) -> Vec<Value> {
    let custom = enforced.custom();
    providers.warn(&custom, problems);
    if options.engine == Engine::Native {
        return native::http_filters_for_custom(&enforced.resources, &enforced.proxy, providers, problems);
    }
    let Some(config) = enforced.plugin_config_before(&providers.names()) else { return Vec::new() };
    let mut hasher = DefaultHasher::new();
    config.to_string().hash(&mut hasher);
    let mut asking = providers.http_filters(&custom);
    if let Some(metadata) = asking.first_mut().and_then(Value::as_object_mut) {
        // Policies that become CUSTOM or cease to be so move between two filters, which a running Envoy is given one after the
        // other. With a name that changes with them the listener is another one, and is replaced at once.
        let name = format!("mesh_policy.custom.{:08x}", hasher.finish() & 0xffff_ffff);
        metadata.insert("name".to_owned(), json!(name));
    }
    asking.insert(0, filter::custom(&options.modules, name, &config));
    asking
}

/// Warns about authorizers that are asked over gRPC at a port that is not said to speak HTTP/2.
pub(super) fn check_protocols(sources: &Sources, services: &[Service<'_>], problems: &mut Problems) {
    let Some(mesh) = sources.mesh_config() else { return };
    for (index, provider) in mesh.config.extension_providers.iter().enumerate() {
        let Some(grpc) = &provider.envoy_ext_authz_grpc else { continue };
        let named = grpc.service.as_deref().unwrap_or_default();
        let host = named.rsplit('/').next().unwrap_or_default();
        let port = services
            .iter()
            .filter(|service| service.host == host)
            .flat_map(|service| service.ports())
            .find(|(number, _)| Some(u32::from(*number)) == grpc.port);
        if port.is_some_and(|(_, port)| !protocol(port).is_some_and(Protocol::is_http2)) {
            let at =
                mesh.at.field("extensionProviders").index(index).field("envoyExtAuthzGrpc").field("port");
            problems
                .warning(
                    at,
                    mesh_policy_istio::problem::ProblemKind::Suspicious,
                    format!(
                        "the port of `{host}` is not said to speak gRPC, so the authorizer is not understood"
                    ),
                )
                .help("give the port of the service the protocol GRPC");
        }
    }
}
