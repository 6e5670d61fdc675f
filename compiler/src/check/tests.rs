use super::*;

fn found(text: &str) -> Vec<String> {
    check(&Sources::from_text("f.yaml", text)).iter().map(ToString::to_string).collect()
}

const SHOP: &str = include_str!("../compile/tests/shop.yaml");

/// Findings of the shop with one text replaced.
fn changed(from: &str, to: &str) -> Vec<String> {
    assert!(SHOP.contains(from), "{from}");
    found(&SHOP.replacen(from, to, 1))
}

#[test]
fn a_sound_shop_has_no_findings() {
    assert_eq!(found(SHOP), [""; 0]);
}

#[test]
fn an_unknown_destination_is_answered_with_the_nearest_one() {
    assert_eq!(
        changed("destination: {host: customers, subset: v2}", "destination: {host: custmers}"),
        [
            "f.yaml:24:21: error[unknown-reference]: VirtualService shop/shop: spec.http[1].route[1].destination.host: \
          no ServiceEntry defines the host `custmers.shop.svc.cluster.local` (did you mean `customers.shop.svc.cluster.local`?)"
        ]
    );
    assert_eq!(
        changed("destination: {host: orders}", "destination: {host: payments}"),
        [
            "f.yaml:20:21: error[unknown-reference]: VirtualService shop/shop: spec.http[0].route[0].destination.host: \
          no ServiceEntry defines the host `payments.shop.svc.cluster.local`"
        ]
    );
}

#[test]
fn a_short_name_in_a_service_entry_is_pointed_at() {
    assert_eq!(
        changed("hosts: [orders.shop.svc.cluster.local]", "hosts: [orders]"),
        [
            "f.yaml:20:21: error[unknown-reference]: VirtualService shop/shop: spec.http[0].route[0].destination.host: \
          no ServiceEntry defines the host `orders.shop.svc.cluster.local` \
          (hosts of a ServiceEntry are not completed: write `orders.shop.svc.cluster.local` there)"
        ]
    );
}

#[test]
fn an_unknown_subset_is_answered_with_the_defined_ones() {
    assert_eq!(
        changed("subset: v2", "subset: v3"),
        [
            "f.yaml:24:38: error[unknown-reference]: VirtualService shop/shop: spec.http[1].route[1].destination.subset: \
          no DestinationRule for `customers.shop.svc.cluster.local` defines the subset `v3` (defined subsets: v1, v2)"
        ]
    );
}

#[test]
fn an_unknown_port_is_answered_with_the_existing_ones() {
    assert_eq!(
        changed("destination: {host: orders}", "destination: {host: orders, port: {number: 81}}"),
        [
            "f.yaml:20:42: error[unknown-reference]: VirtualService shop/shop: spec.http[0].route[0].destination.port.number: \
          `orders.shop.svc.cluster.local` has no port 81: its ports are 8080"
        ]
    );
}

#[test]
fn mirrors_are_destinations_too() {
    assert_eq!(
        changed(
            "    - destination: {host: orders}",
            "    - destination: {host: orders}\n    mirror: {host: order}"
        ),
        ["f.yaml:21:14: error[unknown-reference]: VirtualService shop/shop: spec.http[0].mirror.host: \
          no ServiceEntry defines the host `order.shop.svc.cluster.local` (did you mean `orders.shop.svc.cluster.local`?)"]
    );
}

#[test]
fn an_unknown_gateway_is_answered_with_the_one_of_another_namespace() {
    assert_eq!(
        changed("gateways: [istio-system/edge]", "gateways: [edge, mesh]"),
        ["f.yaml:15:14: error[unknown-reference]: VirtualService shop/shop: spec.gateways[0]: \
          there is no Gateway `shop/edge` (did you mean `istio-system/edge`?)"]
    );
}

#[test]
fn a_subset_without_endpoints_is_worth_a_warning() {
    assert_eq!(
        changed("    labels: {version: v2}", "    labels: {version: v9}"),
        ["f.yaml:37:5: warning[suspicious]: DestinationRule shop/customers: spec.subsets[1].labels: \
          no endpoint of `customers.shop.svc.cluster.local` has the labels version=v9"]
    );
}

#[test]
fn a_rule_for_no_service_is_worth_a_warning() {
    let rule = "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: x, namespace: shop}\nspec: {host: order}\n";
    assert_eq!(
        found(&format!("{SHOP}{rule}")),
        ["f.yaml:64:8: warning[suspicious]: DestinationRule shop/x: spec.host: \
          has no effect: no ServiceEntry defines the host `order.shop.svc.cluster.local` (did you mean `orders.shop.svc.cluster.local`?)"]
    );
}

#[test]
fn what_could_not_be_read_is_not_judged_but_still_counts_as_there() {
    assert_eq!(
        changed(
            "  # trafficPolicy\n",
            "  trafficPolicy: {outlierDetection: {interval: 5}, tls: {mode: MUTUAL}}\n"
        ),
        [
            "f.yaml:32:38: error[wrong-type]: DestinationRule shop/customers: spec.trafficPolicy.outlierDetection.interval: \
          expected a duration such as `5s` or `250ms`, found a number"
        ]
    );
}

#[test]
fn findings_come_in_the_order_of_the_text() {
    let text =
        SHOP.replace("protocol: HTTP}\n---", "protocol: HTPP}\n---").replace("subset: v1", "subset: v3");
    let found = found(&text);
    let lines: Vec<&str> = found.iter().map(|finding| finding.split(": ").next().unwrap()).collect();
    assert_eq!(lines, ["f.yaml:8:36", "f.yaml:22:38"]);
}

#[test]
fn a_host_of_a_gateway_is_judged_once() {
    assert_eq!(
        changed("\"shop/admin.shop.io\"", "\"shop/admin\""),
        ["f.yaml:7:26: error[invalid-value]: Gateway istio-system/edge: spec.servers[0].hosts[1]: \
          expected a host with a dot, a `*.` wildcard, an address or `*`, with or without `NAMESPACE/` in front, found `shop/admin`"]
    );
}

#[test]
fn a_name_that_is_no_name_is_not_looked_up() {
    assert_eq!(
        changed("gateways: [istio-system/edge]", "gateways: [istio-system/edge, a/b/c]"),
        ["f.yaml:15:33: error[invalid-value]: VirtualService shop/shop: spec.gateways[1]: \
          expected `NAMESPACE/NAME`, `NAME` or `mesh`, found `a/b/c`"]
    );
}

#[test]
fn rules_and_policies_are_judged_whoever_they_are_for() {
    let policy = "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p, namespace: far}\n\
                  spec: {selector: {matchLabels: {app: a}}, rules: [{from: [{source: {ipBlocks: [1.2.3.4/99]}}]}]}\n";
    let found = found(&format!("{SHOP}{policy}"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("f.yaml:64:80: error[invalid-value]: AuthorizationPolicy far/p: spec.rules[0].from[0].source.ipBlocks[0]: "),
        "{found:?}"
    );
    let found = changed("- uri: {prefix: /orders}", "- uri: {regex: \"(\"}");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("f.yaml:18:13: error[invalid-value]: VirtualService shop/shop: "),
        "{found:?}"
    );
}
