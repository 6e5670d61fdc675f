//! What is not compiled, and why.

use super::*;

#[test]
fn what_cannot_be_carried_out_is_refused_with_its_place() {
    for (policy, path, message) in [
        (
            "{loadBalancer: {simple: PASSTHROUGH}}",
            "loadBalancer.simple",
            "PASSTHROUGH cannot be carried out: a connection has no destination of the client's own here",
        ),
        (
            "{loadBalancer: {zoneAwareLbSetting: {}}}",
            "loadBalancer.zoneAwareLbSetting",
            "balancing by zone cannot be carried out: Envoy has to know how many proxies like this one there are in each zone; \
             `localityLbSetting` prefers what is near",
        ),
    ] {
        let found = refused(&with_policy(policy));
        assert_eq!(found.len(), 1, "{found:?}");
        let expected = format!(
            ": error[unsupported]: DestinationRule shop/customers: spec.trafficPolicy.{path}: {message}"
        );
        assert!(found[0].starts_with("shop.yaml:32:") && found[0].ends_with(&expected), "{found:?}");
    }
}

#[test]
fn servers_that_cannot_be_built_are_refused() {
    let server = |server: &str| SHOP.replace("port: {number: 80, name: http, protocol: HTTP}", server);
    assert_eq!(
        refused(&server("port: {number: 80, name: http, protocol: HTTP_PROXY}")),
        ["shop.yaml:8:36: error[unsupported]: Gateway istio-system/edge: spec.servers[0].port.protocol: \
          servers of the protocol HTTP_PROXY cannot be carried out yet"]
    );
    assert_eq!(
        refused(&server("port: {number: 443, name: tls, protocol: TLS}\n    tls: {mode: AUTO_PASSTHROUGH}")),
        ["shop.yaml:9:11: error[unsupported]: Gateway istio-system/edge: spec.servers[0].tls.mode: \
          AUTO_PASSTHROUGH cannot be carried out: it is for gateways between meshes of several networks"]
    );
}

#[test]
fn kinds_that_would_change_the_gateway_are_refused() {
    let of = |api: &str, kind: &str, namespace: &str, spec: &str| {
        format!(
            "{SHOP}---\napiVersion: {api}\nkind: {kind}\nmetadata: {{name: x, namespace: {namespace}}}\nspec: {spec}\n"
        )
    };
    let networking = "networking.istio.io/v1alpha3";
    let security = "security.istio.io/v1";
    for (api, kind, spec) in [
        (networking, "EnvoyFilter", "{}"),
        ("extensions.istio.io/v1alpha1", "WasmPlugin", "{selector: {matchLabels: {istio: ingressgateway}}}"),
    ] {
        assert_eq!(
            refused(&of(api, kind, "istio-system", spec)),
            [format!(
                "shop.yaml:64:1: error[unsupported]: {kind} istio-system/x: spec: \
                      a {kind} that applies to this proxy cannot be carried out yet"
            )]
        );
    }
    for (api, kind, namespace, spec) in [
        (networking, "EnvoyFilter", "istio-system", "{workloadSelector: {labels: {app: other}}}"),
        (networking, "Sidecar", "istio-system", "{}"),
        (security, "PeerAuthentication", "istio-system", "{mtls: {mode: STRICT}}"),
    ] {
        compiled(&of(api, kind, namespace, spec));
    }
}

#[test]
fn a_choice_that_fits_nothing_is_refused() {
    let choice = ProxyChoice::Gateway(BTreeMap::from([("istio".to_owned(), "egress".to_owned())]));
    let refusal = compile(&Sources::from_text("shop.yaml", SHOP), &choice, &options()).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "error[unknown-reference]: no Gateway selects a proxy with the labels `istio=egress` \
         (selectors of Gateways: istio=ingressgateway)"
    );
    let choice = ProxyChoice::Workload(crate::WorkloadChoice {
        namespace: "shop".to_owned(),
        name: "web".to_owned(),
        ..crate::WorkloadChoice::default()
    });
    let refusal = compile(&Sources::from_text("shop.yaml", SHOP), &choice, &options()).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "error[unknown-reference]: no service has the workload `shop/web` for an instance \
         (write a WorkloadEntry of this name, or tell the labels of its endpoints)"
    );
}

#[test]
fn destinations_must_be_reachable_from_this_proxy() {
    let hidden = SHOP.replace(
        "hosts: [orders.shop.svc.cluster.local]",
        "hosts: [orders.shop.svc.cluster.local]\n  exportTo: [.]",
    );
    assert_eq!(
        refused(&hidden),
        [
            "shop.yaml:20:21: error[unknown-reference]: VirtualService shop/shop: spec.http[0].route[0].destination.host: \
          the host `orders.shop.svc.cluster.local` is not exported to the proxy's namespace `istio-system`"
        ]
    );
    let ports = SHOP.replace(
        "ports: [{number: 8080, name: http, protocol: HTTP}]",
        "ports: [{number: 8080, name: http, protocol: HTTP}, {number: 9090, name: admin, protocol: HTTP}]",
    );
    assert_eq!(
        refused(&ports),
        [
            "shop.yaml:20:7: error[unknown-reference]: VirtualService shop/shop: spec.http[0].route[0].destination: \
          names no port, and `orders.shop.svc.cluster.local` has none with the listener's number 80: its ports are 8080, 9090 \
          (add `port: {number: ...}`)"
        ]
    );
}

#[test]
fn ports_may_not_be_opened_twice() {
    let two = SHOP.replace(
        "  - hosts: [\"*.shop.io\",",
        "  - port: {number: 81, name: more, protocol: HTTP}\n    hosts: [\"*\"]\n  - hosts: [\"*.shop.io\",",
    );
    let options = Options { ports: BTreeMap::from([(80, 18080), (81, 18080)]), ..options() };
    assert_eq!(
        refused_for(&two, &options),
        ["error[conflict]: the ports 80 and 81 would both be opened as 18080"]
    );
}

#[test]
fn one_host_in_two_service_entries_is_refused() {
    let again = "\
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: again, namespace: shop}
spec:
  hosts: [orders.shop.svc.cluster.local]
  ports: [{number: 8080, name: http, protocol: HTTP}]
  resolution: STATIC
";
    assert_eq!(
        refused(&format!("{SHOP}{again}")),
        [
            "shop.yaml:43:3: error[unsupported]: ServiceEntry shop/orders: spec.hosts: ServiceEntry shop/again also defines \
          the host `orders.shop.svc.cluster.local`, at shop.yaml:61: joining them cannot be carried out yet"
        ]
    );
}

#[test]
fn a_rule_that_hides_the_one_with_the_subsets_is_pointed_at() {
    let hiding = "\
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: all, namespace: istio-system}
spec: {host: \"*.local\", trafficPolicy: {loadBalancer: {simple: RANDOM}}}
";
    let system = Options { root_namespace: "root".to_owned(), ..options() };
    assert_eq!(
        refused_for(&format!("{SHOP}{hiding}"), &system),
        ["shop.yaml:22:38", "shop.yaml:24:38"].map(|place| {
            let route = if place.contains("22") { 0 } else { 1 };
            let subset = if route == 0 { "v1" } else { "v2" };
            format!(
                "{place}: error[unknown-reference]: VirtualService shop/shop: spec.http[1].route[{route}].destination.subset: \
                 the DestinationRule that applies in the proxy's namespace `istio-system` does not define the subset `{subset}`"
            )
        })
    );
}

#[test]
fn a_port_that_carries_no_http_is_no_destination() {
    let udp = SHOP
        .replace("{number: 8080, name: http, protocol: HTTP}", "{number: 8080, name: http, protocol: UDP}");
    assert_eq!(
        refused(&udp),
        ["shop.yaml:20:7: error[unsupported]: VirtualService shop/shop: spec.http[0].route[0].destination: \
          the port 8080 of `orders.shop.svc.cluster.local` carries UDP, which no proxy forwards"]
    );
}
