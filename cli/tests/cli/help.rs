//! What `--help` teaches.

use crate::command::{failed, fixtures, mesh_policy, printed};
use std::fs;

/// The expected texts stand in `fixtures/help`; `UPDATE_HELP=1 cargo test -p mesh-policy help` writes them anew.
fn check_help(name: &str, words: &[&str]) {
    let file = fixtures().join("help").join(format!("{name}.txt"));
    let ended = mesh_policy(words);
    if std::env::var_os("UPDATE_HELP").is_some() {
        fs::write(&file, &ended.stdout).unwrap();
    }
    let expected = fs::read_to_string(&file).unwrap();
    assert_eq!(ended.stdout, expected, "`mesh-policy {}`", words.join(" "));
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
}

#[test]
fn help_lists_the_commands() {
    check_help("mesh-policy", &["--help"]);
}

#[test]
fn help_of_check() {
    check_help("check", &["check", "--help"]);
}

#[test]
fn help_of_compile() {
    check_help("compile", &["compile", "--help"]);
}

#[test]
fn help_of_plugin_config() {
    check_help("plugin-config", &["plugin-config", "--help"]);
}

#[test]
fn help_of_wasmplugin() {
    check_help("wasmplugin", &["wasmplugin", "--help"]);
}

#[test]
fn help_of_image() {
    check_help("image", &["image", "--help"]);
}

#[test]
fn help_of_explain() {
    check_help("explain", &["explain", "--help"]);
}

#[test]
fn help_of_certs() {
    check_help("certs", &["certs", "--help"]);
}

#[test]
fn help_of_run() {
    check_help("run", &["run", "--help"]);
}

#[test]
fn the_version_is_the_packages() {
    assert_eq!(
        mesh_policy(&["--version"]),
        printed(concat!("mesh-policy ", env!("CARGO_PKG_VERSION"), "\n"))
    );
}

#[test]
fn without_files_it_says_how_to_name_them() {
    let expected = "\
error: no files: `-f` says where the Istio resources are
  help: mesh-policy check -f policies/      all .yaml, .yml and .json files in a folder
        mesh-policy check -f a.yaml b.json  some files
        mesh-policy check -f -              standard input, such as `kubectl get .. -o yaml`
";
    assert_eq!(mesh_policy(&["check"]), failed(2, expected));
}

#[test]
fn without_a_proxy_it_says_how_to_name_one() {
    let expected = "\
error: no proxy: the same resources mean different things for each
  help: mesh-policy plugin-config .. --gateway istio=ingressgateway  the gateway with these labels
        mesh-policy plugin-config .. --workload my-app/backend       the sidecar of a workload
";
    assert_eq!(mesh_policy(&["plugin-config", "-f", "guide"]), failed(2, expected));
}

#[test]
fn a_wrong_value_says_what_is_expected() {
    for (words, expected) in [
        (
            ["--gateway", "ingressgateway"],
            "invalid value 'ingressgateway' for '--gateway <K=V,..>': expected `key=value`, several separated by `,`, \
             found `ingressgateway`",
        ),
        (
            ["--workload", "backend"],
            "invalid value 'backend' for '--workload <NS/NAME>': expected `namespace/name`, found `backend`",
        ),
    ] {
        let ended = mesh_policy(&[["plugin-config", "-f", "guide"].as_slice(), &words].concat());
        let expected = format!("error: {expected}\n\nFor more information, try '--help'.\n");
        assert_eq!(ended, failed(2, &expected));
    }
}
