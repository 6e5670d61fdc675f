//! `explain`: what would happen to a request, and why.
//!
//! The expected texts stand in `fixtures/explain`; `UPDATE_EXPLAIN=1 cargo test -p mesh-policy explain` writes them anew.

use crate::command::{Ended, failed, fixtures, mesh_policy, mesh_policy_with_input};
use serde_json::{Value, json};
use std::fs;

const GATEWAY: [&str; 6] = ["explain", "-f", "guide", "shop", "--gateway", "istio=ingressgateway"];
const FIREFOX: &str = "user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0";

fn check_text(name: &str, words: &[&str]) {
    let file = fixtures().join("explain").join(format!("{name}.txt"));
    let ended = mesh_policy(words);
    if std::env::var_os("UPDATE_EXPLAIN").is_some() {
        fs::write(&file, &ended.stdout).unwrap();
    }
    let expected = fs::read_to_string(&file).unwrap();
    assert_eq!(ended.stdout, expected, "`mesh-policy {}`", words.join(" "));
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
}

fn at_the_gateway(name: &str, words: &[&str]) {
    check_text(name, &[GATEWAY.as_slice(), words].concat());
}

fn backend(name: &str, words: &[&str]) {
    let workload =
        ["explain", "-f", "guide", "shop", "--workload", "my-app/backend", "--labels", "app=backend"];
    let from = ["--from", "cluster.local/ns/my-app/sa/frontend-sa"];
    check_text(name, &[workload.as_slice(), &from, words].concat());
}

#[test]
fn firefox_takes_the_rule_that_asks_for_it() {
    at_the_gateway("firefox", &["-H", FIREFOX, "http://dev.example.com/"]);
}

#[test]
fn other_browsers_are_told_why_not() {
    at_the_gateway("other-browser", &["-H", "user-agent: curl/8.5.0", "http://dev.example.com/"]);
}

#[test]
fn a_forwarded_request_shows_all_that_is_changed() {
    at_the_gateway("forwarded", &["http://test.example.com/v1/api/users?x=1"]);
}

#[test]
fn a_redirect_shows_its_location() {
    at_the_gateway("redirect", &["http://test.example.com/old-path"]);
}

#[test]
fn faults_show_delay_and_abort() {
    at_the_gateway("fault", &["http://test.example.com/broken"]);
}

#[test]
fn a_path_is_normalised_as_envoy_does() {
    at_the_gateway("normalised", &["http://test.example.com/x/../split"]);
}

#[test]
fn no_rule_means_404_and_every_reason() {
    at_the_gateway("no-rule", &["http://test.example.com/none"]);
}

#[test]
fn an_unknown_host_is_told_the_known_ones() {
    at_the_gateway("unknown-host", &["http://other.example.com/"]);
}

#[test]
fn a_port_that_is_not_the_gateways_is_taken_for_its_only_one() {
    at_the_gateway("mapped-port", &["http://dev.example.com:18080/"]);
}

#[test]
fn an_allowed_request_names_the_rule_that_allows_it() {
    backend("allowed", &["http://backend/api/v1/users"]);
}

#[test]
fn a_request_that_no_rule_allows_is_shown_the_nearest_miss() {
    backend("nearest-miss", &["-X", "POST", "http://backend/api/v1/users"]);
}

#[test]
fn a_denied_request_names_the_rule_that_denies_it() {
    backend("denied", &["http://backend/api/v1/admin"]);
}

/// Weights are drawn: the same seed draws the same, and many seeds draw by weight.
#[test]
fn the_seed_decides_what_is_drawn() {
    let drawn = |seed: u32| {
        let seed = seed.to_string();
        let words = ["--seed", &seed, "-o", "json", "http://test.example.com/split"];
        let ended = mesh_policy(&[GATEWAY.as_slice(), &words].concat());
        let json: Value = serde_json::from_str(&ended.stdout).unwrap();
        json.pointer("/routing/matched/forward/cluster").unwrap().as_str().unwrap().to_owned()
    };
    let first: Vec<String> = (0..60).map(drawn).collect();
    let to_v2 = first.iter().filter(|cluster| cluster.contains("|v2|")).count();
    assert!((1..30).contains(&to_v2), "{to_v2} of 60 went to the subset with a tenth of the weight");
    assert_eq!(drawn(17), first.get(17).unwrap().clone());
}

#[test]
fn json_says_the_same_for_programs() {
    let words = ["-H", "user-agent: curl/8.5.0", "-o", "json", "http://dev.example.com/"];
    let Ended { code, stdout, stderr } = mesh_policy(&[GATEWAY.as_slice(), &words].concat());
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let json: Value = serde_json::from_str(&stdout).unwrap();
    let routing = json.get("routing").unwrap();
    assert_eq!(json.get("outcome"), Some(&json!("forwarded")));
    assert_eq!(json.pointer("/authorization/allowed"), Some(&json!(true)));
    let v1 = "outbound|80|v1|customers.default.svc.cluster.local";
    assert_eq!(routing.pointer("/matched/forward/cluster"), Some(&json!(v1)));
    let expected = json!([
        {
            "rule": "VirtualService default/customers http[0].match[0]",
            "at": "guide/firefox.yaml:13",
            "state": "failed",
            "failed": [{
                "field": "headers[\"user-agent\"]",
                "wants": "a value that matches `.*Firefox.*`",
                "found": "curl/8.5.0",
            }],
        },
        {
            "rule": "VirtualService default/customers http[1]",
            "at": "guide/firefox.yaml:20",
            "state": "matched",
            "conditions": null,
        },
    ]);
    assert_eq!(routing.get("rules"), Some(&expected));
}

#[test]
fn a_url_behind_the_files_is_not_a_file() {
    let words = [
        "explain",
        "--gateway",
        "istio=ingressgateway",
        "-o",
        "json",
        "-f",
        "guide",
        "http://dev.example.com/",
    ];
    assert_eq!(mesh_policy(&words).code, Some(0));
    let expected = "\
error: no URL: which request is to be explained?
  help: mesh-policy explain -f policies/ --gateway istio=ingressgateway http://customers.example.com/
";
    assert_eq!(mesh_policy(&["explain", "-f", "guide"]), failed(2, expected));
}

#[test]
fn a_port_that_is_told_has_to_be_the_gateways() {
    let ended = mesh_policy(&[GATEWAY.as_slice(), &["--port", "8080", "http://dev.example.com/"]].concat());
    let expected = "\
error: the proxy does not listen on port `8080`
  help: say which port the request arrives at by --port: `80`
";
    assert_eq!(ended, failed(2, expected));
}

/// The line about the instances.
fn instances(locality: &[&str], policy: &str) -> String {
    let text = format!(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: edge}}
spec:
  selector: {{istio: ingressgateway}}
  servers: [{{port: {{number: 80, name: http, protocol: HTTP}}, hosts: ['*']}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: shop}}
spec: {{hosts: ['*'], gateways: [edge], http: [{{route: [{{destination: {{host: shop, subset: all}}}}]}}]}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: shop}}
spec: {{host: shop, subsets: [{{name: all}}], trafficPolicy: {policy}}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: shop}}
spec:
  hosts: [shop.default.svc.cluster.local]
  resolution: STATIC
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  endpoints: [{{address: 10.0.0.1, locality: eu/1}}, {{address: '::1', locality: us/1, weight: 3}}, {{address: 'unix:///run/shop'}}]
"
    );
    let words = ["explain", "-f", "-", "--gateway", "istio=ingressgateway", "http://shop/"];
    let ended = mesh_policy_with_input(&[words.as_slice(), locality].concat(), &text);
    let line = ended.stdout.lines().find_map(|line| line.strip_prefix("  instances  "));
    line.unwrap_or_else(|| panic!("{}{}", ended.stdout, ended.stderr)).to_owned()
}

#[test]
fn the_instances_are_shown_in_the_order_in_which_they_are_tried() {
    let outliers = "{outlierDetection: {}}";
    assert_eq!(instances(&[], outliers), "unix:///run/shop, 10.0.0.1:80 (eu/1), [::1]:80 (us/1, weight 3)");
    assert_eq!(
        instances(&["--locality", "us/2"], outliers),
        "[::1]:80 (us/1, weight 3); when those fail unix:///run/shop, 10.0.0.1:80 (eu/1)"
    );
    assert_eq!(
        instances(
            &["--locality", "us"],
            "{loadBalancer: {localityLbSetting: {distribute: [{from: us, to: {eu: 80, us: 20}}]}}}"
        ),
        "10.0.0.1:80 (eu/1, share 80), [::1]:80 (us/1, share 20, weight 3)"
    );
}
