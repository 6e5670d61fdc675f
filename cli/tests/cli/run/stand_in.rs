//! A script in the place of Envoy, for what a real one does not do on demand.

use crate::command::{command, fixtures};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// Answers `--version` as Envoy does.
pub const VERSION: &str =
    r#"case "$*" in --version) echo "envoy  version: abc/1.40.0/Clean/RELEASE/BoringSSL"; exit 0;; esac"#;

/// Accepts every configuration.
pub const VALID: &str = r#"case "$*" in *"--mode validate"*) exit 0;; esac"#;

/// Where it is.
pub fn path() -> PathBuf {
    fixtures().join("stand-in/envoy")
}

/// A folder with something in the place of the module.
pub fn modules() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("mesh_policy.wasm"), b"\0asm").unwrap();
    folder
}

/// `run` of the guide's gateway on this port, 0 for any free one, with an Envoy that does what the script says.
pub fn run(script: &str, modules: &TempDir, port: u16) -> Command {
    let port = match port {
        0 => std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port(),
        port => port,
    };
    let mut run = command(&["run", "-f", "guide", "--gateway", "istio=ingressgateway"]);
    run.args(["--listen-address", "127.0.0.1", "--map-port", &format!("80={port}")]);
    run.arg("--envoy").arg(path()).arg("--modules").arg(modules.path()).env("STAND_IN", script);
    run
}
