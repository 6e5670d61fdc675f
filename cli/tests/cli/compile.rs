//! `compile` and `plugin-config`.

use crate::command::{Ended, failed, mesh_policy};
use serde_json::Value;
use std::fs;

#[test]
fn a_gateway_becomes_one_file_that_envoy_reads() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let words = [
        "compile",
        "-f",
        "guide",
        "--gateway",
        "istio=ingressgateway",
        "--modules",
        "/modules",
        "--map-port",
    ];
    let ended = mesh_policy(&[words.as_slice(), &["80=18080", "-o", out.to_str().unwrap()]].concat());
    let file = out.join("envoy.yaml");
    let expected = format!(
        "wrote {0}: 1 listener\n  0.0.0.0:18080  dev.example.com, test.example.com\nstart it: envoy --config-path {0}\n",
        file.display()
    );
    assert_eq!((ended.code, ended.stdout, ended.stderr.as_str()), (Some(0), expected, ""));
    let bootstrap = fs::read_to_string(&file).unwrap();
    let json: Value = serde_json::from_str(&bootstrap).unwrap();
    assert_eq!(
        json.pointer("/static_resources/listeners/0/address/socket_address/port_value"),
        Some(&18080.into())
    );
    assert!(bootstrap.contains("/modules/mesh_policy.wasm"), "{bootstrap}");
    // Nothing else is left behind.
    assert_eq!(fs::read_dir(&out).unwrap().count(), 1);
}

#[test]
fn nothing_is_written_for_resources_with_mistakes() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let words = ["compile", "-f", "guide", "wrong-type.yaml", "--gateway", "istio=ingressgateway", "-o"];
    let ended = mesh_policy(&[words.as_slice(), &[out.to_str().unwrap()]].concat());
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.ends_with("1 error in 4 files\n"), "{}", ended.stderr);
    assert!(!out.exists());
}

#[test]
fn a_folder_that_cannot_be_written_is_told() {
    let words = [
        "compile",
        "-f",
        "guide",
        "--gateway",
        "istio=ingressgateway",
        "--modules",
        "x",
        "-o",
        "services.yaml",
    ];
    let expected = "error: cannot write to `services.yaml`: File exists (os error 17)\n";
    assert_eq!(mesh_policy(&words), failed(2, expected));
}

#[test]
fn a_plugin_config_is_one_line_of_json_for_programs() {
    let words =
        ["plugin-config", "-f", "guide", "--workload", "default/web", "--labels", "app=web,version=v1"];
    let words = [
        words.as_slice(),
        &["--trust-domain", "example.org", "--trust-domain-aliases", "old.org,cluster.local"],
    ]
    .concat();
    let Ended { code, stdout, stderr } = mesh_policy(&words);
    assert_eq!((code, stderr.as_str(), stdout.lines().count()), (Some(0), "", 1));
    let config: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(config.pointer("/kind"), Some(&"List".into()));
    let workload = config.get("workload").unwrap();
    assert_eq!(workload.pointer("/namespace"), Some(&"default".into()));
    assert_eq!(workload.pointer("/labels/version"), Some(&"v1".into()));
    assert_eq!(workload.pointer("/trustDomain"), Some(&"example.org".into()));
    assert_eq!(
        workload.pointer("/trustDomainAliases"),
        Some(&serde_json::json!(["old.org", "cluster.local"]))
    );
    let indented = mesh_policy(&[words.as_slice(), &["-o", "text"]].concat()).stdout;
    assert!(indented.lines().count() > 10);
    assert_eq!(serde_json::from_str::<Value>(&indented).unwrap(), config);
}

#[test]
fn a_gateways_service_account_is_nobodys_question() {
    let words = ["plugin-config", "-f", "guide", "--gateway", "a=b", "--service-account", "x"];
    let expected = "error: --service-account goes with --workload: nothing asks for a gateway's\n";
    assert_eq!(mesh_policy(&words), failed(2, expected));
}

#[test]
fn the_native_engine_names_no_module() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let words =
        ["compile", "-f", "guide", "--gateway", "istio=ingressgateway", "--engine", "native", "-o", out];
    let ended = mesh_policy(&words);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let bootstrap = fs::read_to_string(folder.path().join("envoy.yaml")).unwrap();
    assert!(!bootstrap.contains(".wasm"), "{bootstrap}");
    let ended = mesh_policy(&[words.as_slice(), &["--modules", "dist"]].concat());
    assert_eq!(
        ended,
        failed(2, "error: --modules goes with --engine wasm: Envoy's own filters are no modules\n")
    );
}
