//! The manifests for Istio, as far as they can be tried without it.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what a test cannot have ends it, wherever it says so"
)]

use std::{collections::BTreeSet, fs, process::Command};

use mesh_policy_integration::{
    client::{Client, Request},
    config,
    demo::command,
    envoy::{Envoy, Options},
    modules::{Module, repository},
    upstream::Upstream,
};
use mesh_policy_istio::{workload::PluginConfig, yaml};
use serde_json::{Value, json};

/// The documents of a text, as JSON.
fn documents(text: &str) -> Vec<Value> {
    let read = yaml::read(text).unwrap_or_else(|error| panic!("{}", error.message));
    read.nodes.iter().map(|node| json!(node)).collect()
}

/// All manifests of the folder, with the names of their files.
fn manifests() -> Vec<(String, Value)> {
    let folder = repository().join("envoy-configs/istio");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let yaml = files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    yaml.flat_map(|path| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        documents(&fs::read_to_string(path).unwrap())
            .into_iter()
            .map(move |document| (name.clone(), document))
    })
    .collect()
}

/// The part of a WasmPlugin or TrafficExtension that concerns the module.
fn wasm(manifest: &Value) -> &Value {
    match manifest["kind"].as_str() {
        Some("WasmPlugin") => &manifest["spec"],
        Some("TrafficExtension") => &manifest["spec"]["wasm"],
        other => panic!("not a plugin: {other:?}"),
    }
}

fn module(wasm: &Value) -> Module {
    let name = wasm["pluginName"].as_str().unwrap();
    Module::ALL.into_iter().find(|module| module.file_name() == format!("{name}.wasm")).unwrap()
}

/// What the API server would refuse, and what the control plane would.
fn judge(manifest: &Value) {
    let keys = |value: &Value| -> BTreeSet<String> { value.as_object().unwrap().keys().cloned().collect() };
    let known =
        |names: &[&str]| -> BTreeSet<String> { names.iter().map(|name| (*name).to_owned()).collect() };
    let spec = &manifest["spec"];
    let common = known(&["selector", "match", "phase", "priority"]);
    let own = known(&[
        "url",
        "sha256",
        "imagePullPolicy",
        "imagePullSecret",
        "pluginName",
        "pluginConfig",
        "failStrategy",
    ]);
    assert_eq!(manifest["apiVersion"], "extensions.istio.io/v1alpha1");
    let unknown: Vec<String> = if manifest["kind"] == "WasmPlugin" {
        keys(spec).difference(&(&common | &own)).cloned().collect()
    } else {
        let outer = keys(spec).difference(&(&common | &known(&["wasm"]))).cloned().collect::<Vec<_>>();
        outer.into_iter().chain(keys(wasm(manifest)).difference(&own).cloned()).collect()
    };
    assert!(unknown.is_empty(), "{unknown:?}");
    let url = wasm(manifest)["url"].as_str().unwrap();
    assert!(["oci://", "https://"].iter().any(|scheme| url.starts_with(scheme)), "{url}");
    assert!(spec["priority"].is_i64());
    let authorizes = matches!(module(wasm(manifest)), Module::Authz | Module::Policy);
    assert_eq!(spec["phase"].as_str(), authorizes.then_some("AUTHZ"));
    assert!(!spec["selector"]["matchLabels"].as_object().unwrap().is_empty());
    assert_eq!(wasm(manifest)["failStrategy"], "FAIL_CLOSE");
}

/// As Istio does: the object as JSON text in a StringValue.
fn filter(wasm: &Value) -> Value {
    let module = module(wasm);
    config::wasm_filter(
        wasm["pluginName"].as_str().unwrap(),
        &module.path().unwrap(),
        &wasm["pluginConfig"].to_string(),
    )
}

#[test]
fn every_plugin_is_one_that_istio_and_envoy_take() {
    let plugins: Vec<_> =
        manifests().into_iter().filter(|(_, manifest)| manifest["kind"] != "EnvoyFilter").collect();
    let of = |kind: &str| -> BTreeSet<Module> {
        plugins.iter().filter(|(_, m)| m["kind"] == kind).map(|(_, m)| module(wasm(m))).collect()
    };
    assert_eq!(of("WasmPlugin"), Module::ALL.into());
    assert_eq!(of("TrafficExtension").len(), 4);
    for (file, manifest) in &plugins {
        judge(manifest);
        let text = wasm(manifest)["pluginConfig"].to_string();
        PluginConfig::from_json(text.as_bytes()).unwrap_or_else(|problems| panic!("{file}: {problems}"));
    }
    // One Envoy for all: each filter on a listener of its own.
    let listeners: Vec<Value> = (0..)
        .zip(&plugins)
        .map(|(index, (_, manifest))| {
            let routes = config::routes(&[config::direct_response("/", 200, "")]);
            config::listener(&format!("listener-{index}"), &[filter(wasm(manifest))], &routes)
        })
        .collect();
    let validation = Envoy::validate(&config::bootstrap(&listeners, &[])).unwrap();
    assert!(validation.is_accepted(), "{}", validation.output);
}

#[test]
fn the_two_kinds_say_the_same() {
    let of = |kind: &str, name: &str| {
        let found = manifests().into_iter().find(|(_, m)| m["kind"] == kind && m["metadata"]["name"] == name);
        found.unwrap().1
    };
    for name in ["backend-authz", "frontend-headers", "frontend-fault", "frontend-router"] {
        let (old, new) = (of("WasmPlugin", name), of("TrafficExtension", name));
        let mut flat = new["spec"].clone();
        let wasm = flat.as_object_mut().unwrap().remove("wasm").unwrap();
        config::merge(&mut flat, &wasm);
        assert_eq!(old["spec"], flat, "{name}");
    }
}

/// Istio merges the patches into its own routes and clusters; here they are merged into ours of the same shape.
#[test]
fn with_the_patches_of_the_envoyfilter_requests_go_where_the_router_filter_says() {
    let all = manifests();
    let patch = |apply_to: &str| {
        let (_, filter) = all.iter().find(|(_, m)| m["kind"] == "EnvoyFilter").unwrap();
        let patches = filter["spec"]["configPatches"].as_array().unwrap();
        let patch = patches.iter().find(|patch| patch["applyTo"] == apply_to).unwrap();
        assert_eq!(patch["patch"]["operation"], "MERGE");
        patch["patch"]["value"].clone()
    };
    let mut route = json!({"match": {"prefix": "/"}, "route": {"timeout": "0s"}});
    config::merge(&mut route, &patch("HTTP_ROUTE"));
    let instances = [Upstream::start("v1").unwrap(), Upstream::start("v2").unwrap()];
    let clusters: Vec<Value> = instances
        .iter()
        .map(|instance| {
            let name = format!("outbound|80|{}|customers.my-app.svc.cluster.local", instance.name());
            let mut cluster = config::cluster(&name, &[instance.address()]);
            config::merge(&mut cluster, &patch("CLUSTER"));
            // Istio says which protocol the service speaks.
            config::merge(&mut cluster, &json!({"typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {"explicit_http_config": {"http_protocol_options": {}}},
            }}));
            cluster
        })
        .collect();
    let (_, router) = all
        .iter()
        .find(|(_, m)| m["kind"] == "WasmPlugin" && m["metadata"]["name"] == "frontend-router")
        .unwrap();
    let listener = config::listener("outbound", &[filter(wasm(router))], &config::routes(&[route]));
    let envoy = Envoy::start(&config::bootstrap(&[listener], &clusters), &Options::default()).unwrap();
    let client = Client::new(envoy.listener("outbound").unwrap());
    for (agent, instance) in [("Firefox/140", "v2"), ("curl/8", "v1")] {
        let forged = format!(
            "outbound|80|{}|customers.my-app.svc.cluster.local",
            if instance == "v1" { "v2" } else { "v1" }
        );
        let request = Request::get("/").host("customers").header("user-agent", agent);
        let response = client.send(&request.header("x-destination-cluster", forged)).unwrap();
        assert_eq!((response.status, response.echo().unwrap().instance.as_str()), (200, instance));
    }
    let seen = instances.iter().flat_map(Upstream::requests);
    assert!(seen.into_iter().all(|received| !received.headers.has("x-destination-cluster")));
}

#[test]
fn the_command_writes_manifests_that_istio_and_envoy_take() {
    let folder = tempfile::tempdir().unwrap();
    let (_, example) =
        manifests().into_iter().find(|(_, m)| m["metadata"]["name"] == "ingressgateway-policy").unwrap();
    // The resources of the example, and the service that they name.
    let mut items = wasm(&example)["pluginConfig"]["items"].clone();
    items.as_array_mut().unwrap().push(json!({
        "apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": {"name": "customers", "namespace": "my-app"},
        "spec": {"hosts": ["customers.my-app.svc.cluster.local"], "location": "MESH_INTERNAL", "resolution": "STATIC",
                 "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}], "endpoints": [{"address": "127.0.0.1"}]},
    }));
    items.as_array_mut().unwrap().push(json!({
        "apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": {"name": "customers", "namespace": "my-app"},
        "spec": {"host": "customers", "subsets": [{"name": "v1", "labels": {"version": "v1"}}]},
    }));
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    let file = folder.path().join("mesh.json");
    fs::write(&file, list.to_string()).unwrap();
    let digest = "a".repeat(64);
    let gateway = ["--gateway", "istio=ingressgateway"];
    let workload = ["--workload", "my-app/backend", "--labels", "app=backend"];
    let mut filters = Vec::new();
    for (name, kind, proxy) in [
        ("policy", "wasmplugin", gateway.as_slice()),
        ("authz", "trafficextension", &gateway),
        ("authz", "wasmplugin", &workload),
        ("router", "trafficextension", &workload),
        ("fault", "wasmplugin", &workload),
        ("headers", "wasmplugin", &workload),
    ] {
        let mut print = Command::new(command::find().unwrap());
        print.arg("wasmplugin").arg("-f").arg(&file).args(proxy).args(["--module", name, "--kind", kind]);
        print.args(["--url", "oci://registry.example.com/a:1", "--sha256", &digest]);
        let output = print.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let printed = documents(&String::from_utf8(output.stdout).unwrap());
        let [manifest] = printed.as_slice() else { panic!("{printed:?}") };
        judge(manifest);
        assert_eq!(manifest["kind"].as_str().unwrap().to_lowercase(), kind);
        assert_eq!(wasm(manifest)["sha256"], json!(digest));
        let mode = if name == "authz" && proxy == workload { "SERVER" } else { "CLIENT" };
        assert_eq!(manifest["spec"]["match"], json!([{"mode": mode}]));
        filters.push(filter(wasm(manifest)));
    }
    let listeners: Vec<Value> = (0..)
        .zip(filters)
        .map(|(index, filter)| {
            let routes = config::routes(&[config::direct_response("/", 200, "")]);
            config::listener(&format!("listener-{index}"), &[filter], &routes)
        })
        .collect();
    let validation = Envoy::validate(&config::bootstrap(&listeners, &[])).unwrap();
    assert!(validation.is_accepted(), "{}", validation.output);
}

#[test]
fn what_cannot_be_a_manifest_is_refused() {
    let folder = repository().join("integration/demo/gateway");
    let refused = |words: &[&str]| {
        let mut print = Command::new(command::find().unwrap());
        let output = print.arg("wasmplugin").arg("-f").arg(&folder).args(words).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    let gateway = ["--gateway", "istio=ingressgateway", "--module", "policy"];
    let text = refused(&[gateway.as_slice(), &["--url", "ftp://a/b"]].concat());
    assert_eq!(
        text,
        "error: --url: expected `oci://`, `http://`, `https://` or `file://`, found `ftp://a/b`\n"
    );
    let text = refused(&[gateway.as_slice(), &["--url", "oci://a/b", "--sha256", "ABC"]].concat());
    assert!(
        text.starts_with("error: --sha256: expected 64 hexadecimal digits in lower case, found `ABC`\n"),
        "{text}"
    );
    let text = refused(&["--workload", "a/b", "--module", "policy", "--url", "oci://a/b"]);
    assert!(text.starts_with("error: at a sidecar, `policy` has no place"), "{text}");
    let text = refused(&["--workload", "a/b", "--module", "authz", "--url", "oci://a/b"]);
    assert!(text.starts_with("error: the labels of the workload are not known"), "{text}");
}

#[test]
fn the_readme_lists_every_manifest() {
    let readme = fs::read_to_string(repository().join("envoy-configs/istio/README.md")).unwrap();
    let missing: Vec<_> =
        manifests().into_iter().filter(|(file, _)| !readme.contains(&format!("({file})"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
