//! `--mesh-config`, and the options that go with it.

use crate::command::{Ended, mesh_policy};
use serde_json::Value;

const BACKEND: [&str; 5] = ["-f", "custom/policies.yaml", "--workload", "my-app/backend", "--labels"];

fn at_backend(command: &str, words: &[&str]) -> Ended {
    mesh_policy(&[&[command], BACKEND.as_slice(), &["app=backend"], words].concat())
}

fn config(words: &[&str]) -> Value {
    let ended = at_backend("plugin-config", words);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap()
}

#[test]
fn explain_says_whom_the_proxy_would_ask() {
    let url = "http://backend/admin";
    let ended = at_backend("explain", &["--mesh-config", "custom/mesh.yaml", url]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert!(
        ended.stdout.contains(
            "before that, the proxy would ask the provider `opa`, by AuthorizationPolicy my-app/ask rules[0] \
             (custom/policies.yaml:8)"
        ),
        "{}",
        ended.stdout
    );
    let ended = at_backend("explain", &["--mesh-config", "custom/mesh.yaml", "-o", "json", url]);
    let answer: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(answer["authorization"]["asks"]["provider"], "opa");
    assert_eq!(answer["authorization"]["asks"]["rule"]["id"], "ns[my-app]-policy[ask]-rule[0]");
    // Nobody can be asked.
    let ended = at_backend("explain", &["-o", "json", url]);
    let answer: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(answer["outcome"], "denied");
    assert_eq!(
        answer["reply"]["details"],
        "rbac_access_denied_matched_policy[ns[my-app]-policy[ask]-rule[0]-deny-due-to-bad-CUSTOM-action]"
    );
    let ended = at_backend("explain", &["-o", "json", "http://backend/"]);
    let answer: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(answer["authorization"]["allowed"], true);
}

#[test]
fn a_config_map_serves_as_mesh_configuration() {
    let ended =
        mesh_policy(&["check", "-f", "custom/policies.yaml", "--mesh-config", "custom/config-map.yaml"]);
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    assert!(!ended.stdout.contains("opa"), "{}", ended.stdout);
    assert!(
        ended.stdout.contains("custom/config-map.yaml:8:5: warning[unsupported]: MeshConfig: accessLogFile"),
        "{}",
        ended.stdout
    );
}

#[test]
fn a_mesh_configuration_with_a_mistake_is_refused_with_its_place() {
    let ended =
        mesh_policy(&["check", "-f", "custom/policies.yaml", "--mesh-config", "custom/bad-mesh.yaml"]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stdout.contains(
            "custom/bad-mesh.yaml:4:54: error[invalid-value]: MeshConfig: extensionProviders[0].envoyExtAuthzHttp.port: expected a \
             port from 1 to 65535, found `0`"
        ),
        "{}",
        ended.stdout
    );
    let ended = mesh_policy(&["check", "-f", "custom/policies.yaml", "--mesh-config", "custom/none.yaml"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("cannot read `custom/none.yaml`"), "{}", ended.stderr);
}

#[test]
fn a_filter_on_either_side_of_ext_authz_gets_its_half() {
    let ended = at_backend("plugin-config", &[]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("`--ext-authz before` and `after`"), "{}", ended.stderr);
    let names = |config: &Value| -> Vec<String> {
        let items = config["items"].as_array().unwrap();
        items.iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    };
    let before = config(&["--ext-authz", "before", "--mesh-config", "custom/mesh.yaml"]);
    assert_eq!(names(&before), ["ask"]);
    assert_eq!(
        before["authz"]["extAuthz"],
        serde_json::json!({"position": "BEFORE", "providers": ["opa", "over-grpc"]})
    );
    // Without a mesh configuration, whoever the policies name.
    assert_eq!(
        config(&["--ext-authz", "before"])["authz"]["extAuthz"]["providers"],
        serde_json::json!(["opa"])
    );
    let after = config(&["--ext-authz", "after"]);
    assert_eq!(names(&after), ["readers"]);
    assert_eq!(after["authz"]["extAuthz"], serde_json::json!({"position": "AFTER"}));
}

#[test]
fn the_mesh_configuration_names_the_trust_domain_unless_the_command_line_does() {
    let mesh = ["--ext-authz", "after", "--mesh-config", "custom/mesh.yaml"];
    let workload = config(&mesh)["workload"].clone();
    assert_eq!(workload["trustDomain"], "example.org");
    assert_eq!(workload["trustDomainAliases"], serde_json::json!(["old.example.org"]));
    let told = config(&[mesh.as_slice(), &["--trust-domain", "other.org"]].concat());
    assert_eq!(told["workload"]["trustDomain"], "other.org");
}

#[test]
fn paths_are_normalized_as_told() {
    let path = |words: &[&str]| -> Value {
        let words = [words, &["-o", "json", "http://backend/a//b/%2Fc/../d"]].concat();
        let ended = at_backend("explain", &words);
        let answer: Value = serde_json::from_str(&ended.stdout).unwrap();
        answer["request"]["path"].clone()
    };
    assert_eq!(path(&[]), "/a//b/d");
    assert_eq!(path(&["--path-normalization", "NONE"]), "/a//b/%2Fc/../d");
    assert_eq!(path(&["--path-normalization", "merge_slashes"]), "/a/b/d");
    assert_eq!(path(&["--path-normalization", "DECODE_AND_MERGE_SLASHES"]), "/a/b/d");
    // The mesh configuration says MERGE_SLASHES.
    assert_eq!(path(&["--mesh-config", "custom/mesh.yaml"]), "/a/b/d");
    assert_eq!(path(&["--mesh-config", "custom/mesh.yaml", "--path-normalization", "BASE"]), "/a//b/d");
    let ended = at_backend("explain", &["--path-normalization", "DEFAULT", "http://backend/"]);
    assert_eq!(ended.code, Some(2));
}

#[test]
fn compiled_listeners_normalize_paths_and_explain_denials_as_told() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().to_str().unwrap();
    let compile = |words: &[&str]| {
        let base = ["compile", "-f", "guide", "shop", "--gateway", "istio=ingressgateway", "-o", output];
        mesh_policy(&[base.as_slice(), words].concat())
    };
    let words =
        ["--path-normalization", "DECODE_AND_MERGE_SLASHES", "--explain-denials", "--modules", "dist"];
    assert_eq!(compile(&words).code, Some(0));
    let text = std::fs::read_to_string(folder.path().join("envoy.yaml")).unwrap();
    assert!(text.contains("UNESCAPE_AND_FORWARD"));
    assert!(text.contains(r#"\"explainDenials\":true"#));
    let refused = compile(&["--engine", "native", "--explain-denials"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("--explain-denials goes with --engine wasm"), "{}", refused.stderr);
}

#[test]
fn explain_takes_the_server_that_the_server_name_chooses() {
    let listener = |url: &str, words: &[&str]| {
        let base = ["explain", "-f", "custom/https.yaml", "--gateway", "istio=ingressgateway", "-o", "json"];
        let ended = mesh_policy(&[base.as_slice(), words, &[url]].concat());
        let answer: Value = serde_json::from_str(&ended.stdout).unwrap_or_default();
        (answer["listener"]["name"].as_str().unwrap_or_default().to_owned(), ended.stderr)
    };
    let (shop, _) = listener("https://shop.io/", &[]);
    let (admin, _) = listener("https://admin.shop.io/", &[]);
    let (wild, _) = listener("https://other.shop.io/", &[]);
    assert_ne!(shop, admin);
    assert_ne!(admin, wild);
    // What a request says of its host does not change where it arrives.
    assert_eq!(listener("https://admin.shop.io/", &["-H", "host: shop.io"]).0, admin);
    let (_, refused) = listener("https://nowhere.org/", &[]);
    assert!(refused.contains("no server of port 443 takes the server name `nowhere.org`"), "{refused}");
}
