//! The corpus again, with the core compiled to WebAssembly and run in Node: what is true on the host must be true there.

#![cfg(target_arch = "wasm32")]
#![expect(clippy::panic, clippy::unwrap_used, reason = "clippy does not take wasm-bindgen's tests for tests")]

use mesh_policy_testkit::{files::FILES, run};
use wasm_bindgen_test::wasm_bindgen_test;

#[wasm_bindgen_test]
fn every_case_of_the_corpus_comes_out_as_on_the_host() {
    for file in FILES {
        if let Err(failures) = run::file(*file) {
            panic!("{failures}");
        }
    }
}

#[wasm_bindgen_test]
fn a_refusal_reads_as_on_the_host() {
    let problems = mesh_policy_istio::workload::PluginConfig::from_json(b"").unwrap_err();
    assert!(problems.to_string().starts_with(".: the plugin configuration is empty"));
}
