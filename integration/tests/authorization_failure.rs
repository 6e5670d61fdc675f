//! When the filter itself fails, requests are refused: nothing passes unjudged.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what a test cannot have ends it, wherever it says so"
)]

use std::{fs, path::Path, time::Duration};

use mesh_policy_compiler::Options;
use mesh_policy_integration::{
    Result,
    client::{Request, Response},
    config,
    edge::{Edge, policy},
    envoy::{self, Envoy},
    modules::Module,
    wait,
};
use serde_json::{Value, json};

const LISTENER: &str = "/static_resources/listeners/0";

fn read_leb(bytes: &[u8], at: &mut usize) -> usize {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = bytes[*at];
        *at += 1;
        value |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return value;
        }
    }
}

fn leb(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// The module with a bound on its memory: `more` pages of 64 KiB over what it begins with. Nothing else is changed, so that
/// what fails is the product, short of memory.
fn bounded(module: &Path, more: usize) -> Vec<u8> {
    const MEMORY: u8 = 5;
    let bytes = fs::read(module).unwrap();
    let mut at = 8;
    while at < bytes.len() {
        let begin = at;
        let id = bytes[at];
        at += 1;
        let size = read_leb(&bytes, &mut at);
        let end = at + size;
        if id != MEMORY {
            at = end;
            continue;
        }
        assert_eq!(read_leb(&bytes, &mut at), 1, "one memory");
        at += 1;
        let pages = read_leb(&bytes, &mut at);
        let section = [vec![1, 1], leb(pages), leb(pages + more)].concat();
        return [&bytes[..begin], &[MEMORY], &leb(section.len()), &section, &bytes[end..]].concat();
    }
    panic!("a module has a memory");
}

fn filter(bootstrap: &mut Value) -> &mut Value {
    let manager = config::manager_mut(bootstrap.pointer_mut(LISTENER).unwrap()).unwrap();
    manager["http_filters"]
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .find(|filter| filter["name"] == "mesh_policy")
        .unwrap()
}

/// A gateway whose filter can get little memory, and which takes requests that need much.
fn short_of_memory(folder: &Path, failure_policy: &str) -> Result<Edge> {
    let module = folder.join("bounded.wasm");
    fs::write(&module, bounded(&Module::Policy.path()?, 24)).unwrap();
    let denying = policy("no-admin", "{action: DENY, rules: [{to: [{operation: {paths: [/admin]}}]}]}");
    Edge::start_edited(&denying, Options::default(), |bootstrap| {
        let config = &mut filter(bootstrap)["typed_config"]["config"];
        config["vm_config"]["code"]["local"]["filename"] = json!(module);
        config["failure_policy"] = json!(failure_policy);
        config::merge(
            config::manager_mut(bootstrap.pointer_mut(LISTENER).unwrap()).unwrap(),
            &json!({"max_request_headers_kb": 8192, "common_http_protocol_options": {"max_headers_count": 1000}}),
        );
    })
}

/// More than the filter's memory can hold.
fn enormous() -> Request {
    let value = "x".repeat(50_000);
    (0..100).fold(Request::get("/"), |request, index| request.header(format!("x-{index}"), &value))
}

fn get(edge: &Edge, path: &str) -> Response {
    edge.send(&Request::get(path)).unwrap()
}

#[test]
fn a_filter_that_dies_refuses_requests_and_comes_back_as_compiled() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let edge = short_of_memory(folder.path(), "FAIL_RELOAD")?;
    assert_eq!((get(&edge, "/").status, get(&edge, "/admin").status), (200, 403));

    // The request that kills the filter is refused, and until it is back so is every other one.
    assert_eq!(edge.send(&enormous())?.status, 503);
    let reached = edge.upstream.count();
    assert_eq!((get(&edge, "/").status, get(&edge, "/admin").status), (503, 503));
    assert_eq!(edge.upstream.count(), reached);

    wait::until(Duration::from_secs(20), "the filter to come back", || {
        // Never anything but a refusal, or the right verdict.
        let (denied, passed) = (get(&edge, "/admin").status, get(&edge, "/").status);
        assert!(matches!(denied, 403 | 503) && matches!(passed, 200 | 503), "{denied} {passed}");
        ((denied, passed) == (403, 200)).then_some(())
    })?;
    Ok(())
}

#[test]
fn under_envoys_default_policy_a_filter_that_died_refuses_everything() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let edge = short_of_memory(folder.path(), "FAIL_CLOSED")?;
    assert_eq!(get(&edge, "/").status, 200);
    assert_eq!(edge.send(&enormous())?.status, 503);
    let reached = edge.upstream.count();
    for _ in 0..20 {
        assert_eq!(get(&edge, "/").status, 503);
    }
    assert_eq!(edge.upstream.count(), reached);
    Ok(())
}

#[test]
fn envoy_does_not_start_with_a_module_or_a_configuration_that_is_refused() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.wasm");
    fs::write(&broken, b"\0asm\x01\0\0\0 and nothing that a module is made of").unwrap();
    let routes = config::routes(&[config::direct_response("/", 200, "")]);
    let start = |module: &Path, configuration: &str| {
        let filter = config::wasm_filter("authz", module, configuration);
        let bootstrap = config::bootstrap(&[config::listener("in", &[filter], &routes)], &[]);
        Envoy::start(&bootstrap, &envoy::Options::default()).map(|_| ())
    };
    let nothing = r#"{"kind": "List", "items": []}"#;
    let authz = Module::Authz.path()?;
    assert!(start(&authz, nothing).is_ok());
    assert!(start(&broken, nothing).is_err());
    assert!(start(&authz, r#"{"kind": "List"}, "items": [{}]}"#).is_err());
    Ok(())
}
