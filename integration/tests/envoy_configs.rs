//! The configurations that people copy.

use std::{fs, path::PathBuf};

use mesh_policy_integration::{
    Context, Result,
    client::{Client, Request},
    demo::template::fill,
    envoy::{Envoy, Options},
    modules::{Module, repository},
    upstream::Upstream,
    wait,
};
use tempfile::TempDir;

/// A copy with what has to differ in a test; values that are not there are missed.
fn copy(file: &str, replacements: &[(&str, &str)]) -> Result<(TempDir, PathBuf)> {
    let text = fs::read_to_string(repository().join("envoy-configs").join(file)).context("the original")?;
    let folder = tempfile::tempdir().context("a folder for the copy")?;
    let path = folder.path().join(file);
    fs::write(&path, fill(&text, replacements)?).context("the copy")?;
    Ok((folder, path))
}

#[test]
fn the_gateway_routes_denies_and_keeps_its_orders_to_itself() {
    let (v1, v2) = (Upstream::start("v1").unwrap(), Upstream::start("v2").unwrap());
    let port = |upstream: &Upstream| format!("port_value: {}", upstream.address().port());
    let module = Module::Policy.path().unwrap();
    let (_folder, path) = copy(
        "gateway.yaml",
        &[
            ("port_value: 8080", "port_value: 0"),
            ("port_value: 8081", &port(&v1)),
            ("port_value: 8082", &port(&v2)),
            ("dist/mesh_policy.wasm", module.to_str().unwrap()),
        ],
    )
    .unwrap();
    let validation = Envoy::validate(&path).unwrap();
    assert!(validation.is_accepted(), "{}", validation.output);

    let envoy = Envoy::start(&path, &Options::default()).unwrap();
    let client = Client::new(envoy.listener("http").unwrap());
    let get = |path: &str| Request::get(path).host("customers.example.com");
    for (agent, version) in [("Firefox/140", "v2"), ("curl/8", "v1")] {
        let response = client.send(&get("/").header("user-agent", agent)).unwrap();
        assert_eq!((response.status, response.header("x-version").as_deref()), (200, Some(version)));
        assert_eq!(response.echo().unwrap().instance, version);
    }
    client.send(&get("/copied")).unwrap();
    wait::until_true("the copy", || v2.count_path("/copied") == 1).unwrap();
    let orders = get("/orders").header("x-echo-fail-first", "3").header("x-echo-key", "orders");
    assert_eq!(client.send(&orders).unwrap().status, 200);
    assert_eq!(v1.count_path("/orders"), 4);
    let denied = client.send(&get("/users/../admin?a=b")).unwrap();
    assert_eq!((denied.status, denied.text().as_str()), (403, "RBAC: access denied"));
    assert_eq!(client.send(&Request::get("/").host("unknown.example.com")).unwrap().status, 404);
    assert_eq!(client.send(&get("/slow?echo-delay-ms=4000")).unwrap().status, 504);
    let leaked = |(name, _): &(Vec<u8>, Vec<u8>)| name.starts_with(b"x-mesh-policy-");
    assert!(
        v1.requests().iter().chain(&v2.requests()).all(|received| !received.headers.0.iter().any(leaked))
    );
}

/// The demo runs it with certificates and policies of its own; here it is judged with those that stand in it.
#[test]
fn the_policies_that_stand_in_the_mtls_configuration_are_accepted() {
    let authority = mesh_policy_integration::certs::Authority::new("test").unwrap();
    let server = authority.workload("spiffe://cluster.local/ns/my-app/sa/backend").unwrap();
    let (module, ca) = (Module::Authz.path().unwrap(), authority.certificate());
    let (_folder, path) = copy(
        "authz-mtls.yaml",
        &[
            ("dist/mesh_authz.wasm", module.to_str().unwrap()),
            ("certs/ca.pem", ca.to_str().unwrap()),
            ("certs/server.pem", server.certificate().to_str().unwrap()),
            ("certs/server-key.pem", server.key().to_str().unwrap()),
        ],
    )
    .unwrap();
    let validation = Envoy::validate(&path).unwrap();
    assert!(validation.is_accepted(), "{}", validation.output);
}

#[test]
fn a_provider_between_two_instances_of_the_filter_is_asked_about_what_a_custom_policy_names() {
    let (service, provider) = (Upstream::start("service").unwrap(), Upstream::start("opa").unwrap());
    let port = |upstream: &Upstream| format!("port_value: {}", upstream.address().port());
    let module = Module::Authz.path().unwrap();
    let (_folder, path) = copy(
        "authz-custom.yaml",
        &[
            ("port_value: 8443", "port_value: 0"),
            ("port_value: 8080", &port(&service)),
            ("port_value: 9000", &port(&provider)),
            ("dist/mesh_authz.wasm", module.to_str().unwrap()),
        ],
    )
    .unwrap();
    let envoy = Envoy::start(&path, &Options::default()).unwrap();
    let client = Client::new(envoy.listener("inbound").unwrap());
    let status = |request: Request| client.send(&request.host("backend")).unwrap().status;
    assert_eq!(status(Request::get("/").header("x-mesh-policy-ext-authz", "opa")), 200);
    assert_eq!(provider.count(), 0);
    assert_eq!(status(Request::get("/x/../admin").header("x-mesh-policy-ext-authz", "no")), 200);
    assert_eq!(provider.count(), 1);
    // Allowed by the provider, denied behind it.
    assert_eq!(status(Request::new("PUT", "/admin")), 403);
    assert_eq!((provider.count(), service.count()), (2, 2));
    provider.always(Some(401));
    assert_eq!(status(Request::get("/admin")), 401);
    assert_eq!(service.count(), 2);
    drop(provider);
    assert_eq!(status(Request::get("/admin")), 403);
    assert_eq!(status(Request::get("/")), 200);
}

#[test]
fn the_readme_lists_every_configuration() {
    let folder = repository().join("envoy-configs");
    let readme = fs::read_to_string(folder.join("README.md")).unwrap();
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let missing: Vec<_> =
        files.filter(|name| name.ends_with(".yaml") && !readme.contains(&format!("({name})"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
