use super::*;
use crate::source::Sources;
use mesh_policy_core::proxy::ProxyRole;

mod delegates;
mod envoy;
mod policies;
mod routes;

const GATEWAY: &str = "\
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 8081, name: http, protocol: HTTP}
    hosts: [\"*\"]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api, namespace: shop}
spec:
  hosts: [api.shop.svc.cluster.local]
  ports: [{number: 9000, name: http, protocol: HTTP}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: web, namespace: shop}
spec:
  hosts: [web.shop.svc.cluster.local]
  ports: [{number: 80, name: http, protocol: HTTP}, {number: 90, name: more, protocol: HTTP}]
";

fn resources(text: &str) -> Sources {
    let sources = Sources::from_text("test.yaml", text);
    assert_eq!(sources.findings(), []);
    sources
}

fn proxy() -> ProxyContext {
    ProxyContext {
        namespace: "istio-system".to_owned(),
        labels: Some([("istio".to_owned(), "ingressgateway".to_owned())].into()),
        role: ProxyRole::Gateway(vec!["shop/edge".to_owned()]),
        port: Some(8081),
        ..ProxyContext::default()
    }
}

/// The virtual hosts for all Gateways of `text`.
fn virtual_hosts(text: &str) -> Vec<Value> {
    let sources = resources(text);
    let proxy = proxy();
    let site = Site::new(sources.resources(), &proxy, 8081);
    let servers: Vec<(&Resource, Vec<usize>)> = sources
        .resources()
        .iter()
        .filter_map(|resource| match &resource.spec {
            Spec::Gateway(gateway) => Some((resource, (0..gateway.servers.len()).collect())),
            _ => None,
        })
        .collect();
    let mut problems = Problems::new();
    let hosts = virtual_host::virtual_hosts(sources.resources(), &servers, &site, &mut problems);
    assert_eq!(problems, Problems::new());
    hosts
}

/// A VirtualService of the namespace `shop` at the gateway `edge`.
fn virtual_service(name: &str, hosts: &str, http: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: shop}}\n\
         spec: {{hosts: {hosts}, gateways: [edge], http: {http}}}\n"
    )
}

/// The routes of rules on one host.
fn routes(http: &str) -> Vec<Value> {
    let hosts = virtual_hosts(&format!("{GATEWAY}{}", virtual_service("test", "[a.io]", http)));
    assert_eq!(hosts[0]["domains"], json!(["a.io"]));
    hosts[0]["routes"].as_array().unwrap().clone()
}

/// The names of the routes of each virtual host.
fn names(hosts: &[Value]) -> Vec<(String, Vec<String>)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let routes = |host: &Value| host["routes"].as_array().unwrap().iter().map(|r| text(&r["name"])).collect();
    hosts.iter().map(|host| (text(&host["name"]), routes(host))).collect()
}
