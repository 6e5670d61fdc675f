//! `mesh-policy wasmplugin`: the filters as Istio loads them.

mod yaml;

use crate::args::{Filter, ManifestKind, WasmPlugin};
use crate::failure::Failure;
use crate::resources::{Resources, choice, options};
use anstream::stdout;
use mesh_policy_compiler::ProxyChoice;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::Write;

/// Prints the manifest of one filter for one proxy.
pub fn run(args: &WasmPlugin) -> Result<(), Failure> {
    check(args)?;
    let resources = Resources::load(&args.input, "wasmplugin")?;
    let choice = choice(&args.proxy, Some(&args.identity), "wasmplugin")?;
    let options = options(&args.proxy, &args.identity, None, &resources.sources);
    let sources = &resources.sources;
    let listeners = mesh_policy_compiler::enforced(sources, &choice, &options)
        .map_err(|refusal| resources.refuse(&refusal))?;
    let config = mesh_policy_compiler::plugin_config(sources, &choice, None, &options)
        .map_err(|refusal| resources.refuse(&refusal))?;
    let warnings: Vec<_> =
        mesh_policy_compiler::check(sources).into_iter().filter(|f| !f.is_error()).collect();
    resources.report(&warnings)?;
    let labels = listeners.first().and_then(|listener| listener.proxy.labels.clone()).unwrap_or_default();
    if labels.is_empty() {
        return Err(Failure::usage(
            "the labels of the workload are not known: without, the filter would run everywhere",
        )
        .help("name them by --labels, or add a WorkloadEntry of this name to the resources"));
    }
    let namespace = match &choice {
        ProxyChoice::Gateway(_) => options.gateway_namespace.clone(),
        ProxyChoice::Workload(workload) => workload.namespace.clone(),
    };
    let manifest = manifest(args, &choice, &namespace, &labels, config);
    write!(stdout().lock(), "{}", yaml::document(&manifest))?;
    Ok(())
}

fn check(args: &WasmPlugin) -> Result<(), Failure> {
    let scheme = args.url.split_once("://").map(|(scheme, _)| scheme);
    if !matches!(scheme, None | Some("oci" | "http" | "https" | "file")) || args.url.is_empty() {
        return Err(Failure::usage(format!(
            "--url: expected `oci://`, `http://`, `https://` or `file://`, found `{}`",
            args.url
        )));
    }
    let is_digest = |text: &str| {
        text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    if let Some(digest) = args.sha256.as_ref().filter(|digest| !is_digest(digest)) {
        return Err(Failure::usage(format!(
            "--sha256: expected 64 hexadecimal digits in lower case, found `{digest}`"
        ))
        .help("`mesh-policy image` prints it"));
    }
    if args.module == Filter::Policy && args.proxy.workload.is_some() {
        return Err(Failure::usage(
            "at a sidecar, `policy` has no place: it decides over who comes in and over where to go",
        )
        .help("--module authz for the way in; headers, fault and router for the way out"));
    }
    Ok(())
}

fn manifest(
    args: &WasmPlugin,
    choice: &ProxyChoice,
    namespace: &str,
    labels: &BTreeMap<String, String>,
    config: Value,
) -> Value {
    let module = args.module;
    let owner = match choice {
        ProxyChoice::Gateway(labels) => labels.values().next().cloned().unwrap_or_default(),
        ProxyChoice::Workload(workload) => workload.name.clone(),
    };
    let name = args.name.clone().unwrap_or_else(|| format!("{owner}-{}", module.name()));
    let mut wasm = Map::new();
    wasm.insert("url".to_owned(), json!(args.url));
    if let Some(digest) = &args.sha256 {
        wasm.insert("sha256".to_owned(), json!(digest));
    }
    if let Some(secret) = &args.pull_secret {
        wasm.insert("imagePullSecret".to_owned(), json!(secret));
    }
    wasm.insert("pluginName".to_owned(), json!(format!("mesh_{}", module.name())));
    // Who cannot be judged does not pass.
    wasm.insert("failStrategy".to_owned(), json!("FAIL_CLOSE"));
    wasm.insert("pluginConfig".to_owned(), config);
    let mut spec = Map::new();
    spec.insert("selector".to_owned(), json!({"matchLabels": labels}));
    spec.insert("match".to_owned(), json!([{"mode": mode(choice, module)}]));
    if let Some(phase) = module.phase() {
        spec.insert("phase".to_owned(), json!(phase));
    }
    spec.insert("priority".to_owned(), json!(module.priority()));
    match args.kind {
        ManifestKind::WasmPlugin => spec.extend(wasm),
        ManifestKind::TrafficExtension => {
            spec.insert("wasm".to_owned(), Value::Object(wasm));
        }
    }
    json!({
        "apiVersion": "extensions.istio.io/v1alpha1",
        "kind": args.kind.name(),
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    })
}

/// Gateways have listeners towards clients of the mesh only, and Istio counts those as outbound. A sidecar judges who comes
/// in, and routes what goes out.
fn mode(choice: &ProxyChoice, module: Filter) -> &'static str {
    match (choice, module) {
        (ProxyChoice::Workload(_), Filter::Authz) => "SERVER",
        _ => "CLIENT",
    }
}

impl Filter {
    /// As in `mesh_NAME.wasm`.
    const fn name(self) -> &'static str {
        match self {
            Self::Authz => "authz",
            Self::Headers => "headers",
            Self::Fault => "fault",
            Self::Router => "router",
            Self::Policy => "policy",
        }
    }

    /// Authorization needs what authentication found out. The others stand at the end, where Istio puts them unasked.
    const fn phase(self) -> Option<&'static str> {
        match self {
            Self::Authz | Self::Policy => Some("AUTHZ"),
            Self::Headers | Self::Fault | Self::Router => None,
        }
    }

    /// Larger ones come first. One without a priority would come after all of these.
    const fn priority(self) -> u8 {
        match self {
            Self::Authz | Self::Policy => 100,
            Self::Headers => 30,
            Self::Fault => 20,
            Self::Router => 10,
        }
    }
}

impl ManifestKind {
    const fn name(self) -> &'static str {
        match self {
            Self::WasmPlugin => "WasmPlugin",
            Self::TrafficExtension => "TrafficExtension",
        }
    }
}
