//! Sidecars.

use super::*;
use crate::options::WorkloadChoice;

const MESH: &str = "\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: backend, namespace: shop}
spec:
  hosts: [backend.shop.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}, {number: 81, name: admin, protocol: HTTP, targetPort: 8081}]
  endpoints: [{address: 10.0.0.1, labels: {app: backend}, serviceAccount: backend}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside, namespace: shop}
spec:
  hosts: [outside.io]
  ports: [{number: 80, name: http, protocol: HTTP}]
";

fn choice() -> ProxyChoice {
    ProxyChoice::Workload(WorkloadChoice {
        namespace: "shop".to_owned(),
        name: "backend".to_owned(),
        labels: Some([("app".to_owned(), "backend".to_owned())].into()),
        ..WorkloadChoice::default()
    })
}

fn sidecar(text: &str) -> Result<CompiledProxy, String> {
    compile(&Sources::from_text("mesh.yaml", text), &choice(), &options()).map_err(|refusal| {
        let errors = refusal.findings.iter().filter(|finding| finding.is_error());
        errors.map(ToString::to_string).collect::<Vec<_>>().join("\n")
    })
}

#[test]
fn a_sidecar_listens_where_its_workload_is_expected_and_for_its_application() {
    let proxy = sidecar(MESH).unwrap();
    let opened: Vec<(&str, u16, &[String])> = proxy
        .listeners
        .iter()
        .map(|listener| (listener.address.as_str(), listener.port, listener.hosts.as_slice()))
        .collect();
    let own = ["backend.shop.svc.cluster.local".to_owned()];
    let all = ["backend.shop.svc.cluster.local".to_owned(), "outside.io".to_owned()];
    assert_eq!(
        opened,
        [("10.0.0.1", 8080, &own[..]), ("10.0.0.1", 8081, &own[..]), ("127.0.0.1", 15001, &all[..])]
    );
    let application =
        &cluster(&proxy, "inbound|8080||")["load_assignment"]["endpoints"][0]["lb_endpoints"][0];
    assert_eq!(
        application["endpoint"]["address"]["socket_address"],
        json!({"address": "127.0.0.1", "port_value": 8080})
    );
    // Nobody resolved the host before the sidecar.
    assert_eq!(cluster(&proxy, "outbound|80||outside.io")["cluster_type"]["name"], "envoy.cluster.dns");
}

#[test]
fn a_request_that_names_a_port_goes_to_it() {
    let proxy = sidecar(MESH).unwrap();
    let hosts = manager(&proxy, 2)["route_config"]["virtual_hosts"].as_array().unwrap();
    assert_eq!(
        hosts[0]["domains"],
        json!([
            "backend.shop.svc.cluster.local",
            "backend.shop.svc.cluster.local.",
            "backend.shop.svc",
            "backend.shop",
            "backend"
        ])
    );
    let routes: Vec<(&Value, &Value)> = hosts[0]["routes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|route| (&route["match"]["headers"], &route["route"]["cluster"]))
        .collect();
    let suffix = |text: &str| json!([{"name": ":authority", "string_match": {"suffix": text}}]);
    assert_eq!(routes[1], (&suffix(":80"), &json!("outbound|80||backend.shop.svc.cluster.local")));
    assert_eq!(routes[2], (&suffix(":81"), &json!("outbound|81||backend.shop.svc.cluster.local")));
    assert_eq!(routes[3], (&Value::Null, &json!("outbound|80||backend.shop.svc.cluster.local")));
}

#[test]
fn an_application_on_the_sidecars_own_address_needs_a_port_of_its_own() {
    assert_eq!(
        sidecar(&MESH.replace("10.0.0.1", "127.0.0.1")).unwrap_err(),
        "error[missing]: port 8080 is the sidecar's on this machine, so the application has to listen on another one \
         (say which: --app-port 8080=18080)"
    );
}

#[test]
fn mutual_tls_only_needs_a_certificate() {
    let strict = "---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: strict, namespace: shop}\n\
                  spec: {mtls: {mode: STRICT}}\n";
    assert_eq!(
        sidecar(&format!("{MESH}{strict}")).unwrap_err(),
        "error[unsupported]: port 8080 takes mutual TLS only (STRICT), and the sidecar has no certificate \
         (`mesh-policy certs` issues certificates and `--certs` names their folder; `--sds` names the socket of SPIRE's agent)"
    );
}

#[test]
fn rules_for_connections_are_refused() {
    let rules = "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: bytes, namespace: shop}\n\
                 spec: {hosts: [outside.io], tcp: [{route: [{destination: {host: outside.io}}]}]}\n";
    assert_eq!(
        sidecar(&format!("{MESH}{rules}")).unwrap_err(),
        "mesh.yaml:21:29: error[unsupported]: VirtualService shop/bytes: spec.tcp: rules for connections cannot be carried out by a \
         sidecar yet: only those for HTTP (a TCP or TLS server of a gateway can carry them out)"
    );
}

#[test]
fn permissive_without_a_certificate_is_plain_text_and_warned_about() {
    let policy = |name: &str, spec: &str| {
        format!(
            "---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {{name: {name}, namespace: shop}}\nspec: {spec}\n"
        )
    };
    let warnings = |spec: &str| {
        let proxy = sidecar(&format!("{MESH}{}", policy("mtls", spec))).unwrap();
        let messages = proxy.warnings.iter().map(|finding| finding.message.clone());
        messages.filter(|message| message.contains("PERMISSIVE")).collect::<Vec<_>>()
    };
    for spec in [
        "{mtls: {mode: PERMISSIVE}}",
        "{selector: {matchLabels: {app: backend}}, portLevelMtls: {8080: {mode: PERMISSIVE}}}",
    ] {
        let [warning] = <[String; 1]>::try_from(warnings(spec)).unwrap();
        assert!(warning.starts_with("PERMISSIVE takes mutual TLS beside plain text"), "{warning}");
    }
    for spec in
        ["{mtls: {mode: DISABLE}}", "{selector: {matchLabels: {app: other}}, mtls: {mode: PERMISSIVE}}"]
    {
        assert_eq!(warnings(spec), [""; 0], "{spec}");
    }
}

#[test]
fn a_service_is_called_by_its_addresses_too() {
    let text = MESH.replace(
        "hosts: [outside.io]\n",
        "hosts: [outside.io]\n  addresses: [240.0.0.9, '2001:2::9', 10.0.0.0/8]\n",
    );
    // An address that two services have is the first one's.
    let second = "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: second, namespace: shop}\n\
                  spec: {hosts: [second.io], addresses: [240.0.0.9], ports: [{number: 80, name: http, protocol: HTTP}]}\n";
    let proxy = sidecar(&format!("{text}{second}")).unwrap();
    let outbound = &proxy.bootstrap["static_resources"]["listeners"][2];
    let hosts = outbound
        .pointer("/filter_chains/0/filters/0/typed_config/route_config/virtual_hosts")
        .and_then(Value::as_array)
        .unwrap();
    let own = hosts.iter().find(|host| host["domains"][0] == "outside.io").unwrap();
    assert_eq!(own["domains"], json!(["outside.io", "outside.io.", "240.0.0.9", "[2001:2::9]"]));
    let second = hosts.iter().find(|host| host["domains"][0] == "second.io").unwrap();
    assert_eq!(second["domains"], json!(["second.io", "second.io."]));
}
