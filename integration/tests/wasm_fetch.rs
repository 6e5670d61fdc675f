//! Modules from afar: as an OCI image, and over HTTP with their digest.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "what a test cannot have ends it, wherever it says so"
)]

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    path::Path,
    process::Command,
    thread,
};

use mesh_policy_integration::{
    client::{Client, Request},
    config,
    demo::command,
    envoy::{Envoy, Options},
    modules::Module,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Serves the module to whoever asks; it ends with the test's process.
fn server(module: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            while lines.next().is_some_and(|line| !line.is_empty()) {}
            let head =
                format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", module.len());
            _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&module));
        }
    });
    address
}

/// A listener whose filter denies `/private`, with the module fetched from the server.
fn bootstrap(from: SocketAddr, sha256: &str) -> Value {
    let policy = json!({
        "apiVersion": "v1", "kind": "List",
        "items": [{
            "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": {"name": "private", "namespace": "a"},
            "spec": {"action": "DENY", "rules": [{"to": [{"operation": {"paths": ["/private"]}}]}]},
        }],
        "workload": {"namespace": "a", "labels": {}},
    });
    let mut filter = config::wasm_filter("mesh_authz", Path::new("unused"), &policy.to_string());
    filter["typed_config"]["config"]["vm_config"]["code"] = json!({"remote": {
        "http_uri": {"uri": format!("http://{from}/mesh_authz.wasm"), "cluster": "files", "timeout": "10s"},
        "sha256": sha256,
        "retry_policy": {"num_retries": 1},
    }});
    let routes = config::routes(&[config::direct_response("/", 200, "behind the filter")]);
    config::bootstrap(&[config::listener("http", &[filter], &routes)], &[config::cluster("files", &[from])])
}

fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_module_is_fetched_over_http_when_its_digest_is_right() {
    let module = fs::read(Module::Authz.path().unwrap()).unwrap();
    let digest = sha256(&module);
    let envoy = Envoy::start(&bootstrap(server(module), &digest), &Options::default()).unwrap();
    let client = Client::new(envoy.listener("http").unwrap());
    assert_eq!(client.send(&Request::get("/")).unwrap().text(), "behind the filter");
    let denied = client.send(&Request::get("/private")).unwrap();
    assert_eq!((denied.status, denied.text().as_str()), (403, "RBAC: access denied"));
}

#[test]
fn a_module_with_another_digest_lets_nobody_pass() {
    let module = fs::read(Module::Authz.path().unwrap()).unwrap();
    let mut envoy = Envoy::start(&bootstrap(server(module), &"0".repeat(64)), &Options::default()).unwrap();
    envoy.wait_for_log("Plugin mesh_authz failed to load").unwrap();
    let client = Client::new(envoy.listener("http").unwrap());
    for path in ["/", "/private"] {
        let response = client.send(&Request::get(path)).unwrap();
        assert_eq!((response.status, response.text().contains("behind")), (503, false));
    }
}

/// As Istio's agent reads it.
#[test]
fn an_image_holds_the_module_under_the_digests_that_are_printed() {
    let module = Module::Authz.path().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    let write = || {
        let mut write = Command::new(command::find().unwrap());
        let output =
            write.arg("image").arg(&module).arg("-o").arg(&image).args(["--tag", "1.0"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let printed = write();
    let json =
        |path: &str| -> Value { serde_json::from_slice(&fs::read(image.join(path)).unwrap()).unwrap() };
    assert_eq!(json("oci-layout"), json!({"imageLayoutVersion": "1.0.0"}));
    let index = json("index.json");
    let [entry] = index["manifests"].as_array().unwrap().as_slice() else { panic!("{index}") };
    assert_eq!(entry["annotations"]["org.opencontainers.image.ref.name"], "1.0");
    // Each descriptor has the digest and the size of what it describes.
    let blob = |descriptor: &Value| {
        let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        let content = fs::read(image.join("blobs/sha256").join(digest)).unwrap();
        assert_eq!(
            (sha256(&content).as_str(), content.len() as u64),
            (digest, descriptor["size"].as_u64().unwrap())
        );
        content
    };
    let manifest: Value = serde_json::from_slice(&blob(entry)).unwrap();
    assert_eq!(manifest["annotations"], json!({"module.wasm.image/variant": "compat"}));
    let [layer] = manifest["layers"].as_array().unwrap().as_slice() else { panic!("{manifest}") };
    assert_eq!(layer["mediaType"], "application/vnd.oci.image.layer.v1.tar+gzip");
    let mut archive = Vec::new();
    flate2::read::GzDecoder::new(blob(layer).as_slice()).read_to_end(&mut archive).unwrap();
    let config: Value = serde_json::from_slice(&blob(&manifest["config"])).unwrap();
    assert_eq!(config["rootfs"]["diff_ids"], json!([format!("sha256:{}", sha256(&archive))]));

    let module = fs::read(&module).unwrap();
    // What others unpack.
    let tar = folder.path().join("layer.tar");
    fs::write(&tar, &archive).unwrap();
    let listed = Command::new("tar").arg("-tf").arg(&tar).output().unwrap();
    assert_eq!(String::from_utf8(listed.stdout).unwrap(), "plugin.wasm\n");
    let unpacked = Command::new("tar").arg("-xOf").arg(&tar).arg("plugin.wasm").output().unwrap();
    assert!(unpacked.stdout == module, "another module");
    for digest in [entry["digest"].as_str().unwrap(), &format!("sha256:{}", sha256(&module))] {
        assert!(printed.contains(digest), "{digest} is not in\n{printed}");
    }
    assert_eq!(write(), printed, "the second image differs");
}

#[test]
fn what_is_no_module_becomes_no_image() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.wasm");
    fs::write(&file, "text").unwrap();
    let mut write = Command::new(command::find().unwrap());
    let output = write.arg("image").arg(&file).arg("-o").arg(folder.path().join("image")).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let expected = format!("error: cannot use `{}`: it is no WebAssembly module\n", file.display());
    assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
    assert!(!folder.path().join("image").exists());
}
