//! `certs`, and what takes its folder.

use crate::command::{Ended, mesh_policy, mesh_policy_with_input};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const MESH: &str = "\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: backend, namespace: my-app}
spec:
  hosts: [backend.my-app.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints:
  - {address: 10.0.0.1, labels: {app: backend}, serviceAccount: backend}
  - {address: 10.0.0.2, labels: {app: backend}, serviceAccount: backend}
  - {address: 10.0.0.3, labels: {app: other}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: frontend, namespace: my-app}
spec: {address: 10.0.0.4, serviceAccount: frontend}
";

fn certs(folder: &Path, more: &[&str]) -> Ended {
    let words = ["certs", "-f", "-", "-o", folder.to_str().unwrap()];
    mesh_policy_with_input(&[words.as_slice(), more].concat(), MESH)
}

fn compile(folder: &Path, out: &Path, more: &[&str]) -> Ended {
    let words = [
        "compile",
        "-f",
        "-",
        "--workload",
        "my-app/backend",
        "--labels",
        "app=backend",
        "--modules",
        "/modules",
    ];
    let paths = ["--certs", folder.to_str().unwrap(), "-o", out.to_str().unwrap()];
    mesh_policy_with_input(&[words.as_slice(), paths.as_slice(), more].concat(), MESH)
}

#[test]
fn each_identity_gets_a_certificate_that_a_sidecar_takes() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("certs");
    let ended = certs(&root, &["--identity", "other/sleep"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert!(
        ended
            .stdout
            .starts_with(&format!("issued 3 certificates to {} with a new CA, until ", root.display()))
    );
    let ids: Vec<&str> = ended.stdout.lines().skip(1).map(str::trim).collect();
    assert_eq!(
        ids,
        [
            "spiffe://cluster.local/ns/my-app/sa/backend",
            "spiffe://cluster.local/ns/my-app/sa/frontend",
            "spiffe://cluster.local/ns/other/sa/sleep"
        ]
    );
    for key in ["ca.key", "my-app/backend/tls.key", "other/sleep/tls.key"] {
        let mode = fs::metadata(root.join(key)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }
    let ended = compile(&root, &folder.path().join("out"), &[]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
}

#[test]
fn once_more_it_keeps_the_ca_and_renews_the_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    assert_eq!(certs(root, &[]).code, Some(0));
    let read = |name: &str| fs::read(root.join(name)).unwrap();
    let (ca, leaf) = (read("ca.crt"), read("my-app/backend/tls.crt"));
    let ended = certs(root, &["--ttl", "1h"]);
    assert!(ended.stdout.contains("with the CA that was there"), "{}", ended.stdout);
    assert_eq!(read("ca.crt"), ca);
    assert_ne!(read("my-app/backend/tls.crt"), leaf);
    fs::write(root.join("ca.key"), read("my-app/backend/tls.key")).unwrap();
    let ended = certs(root, &[]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("is not that of the certificate"), "{}", ended.stderr);
}

#[test]
fn certificates_of_another_trust_domain_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("certs");
    certs(&root, &["--trust-domain", "elsewhere"]);
    let ended = compile(&root, &folder.path().join("out"), &[]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains("is not for `spiffe://cluster.local/ns/my-app/sa/backend`"),
        "{}",
        ended.stderr
    );
    let ended = compile(&root, &folder.path().join("out"), &["--trust-domain", "elsewhere"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
}

/// The one error, with its cure, and nothing written.
fn refused(root: &Path, expected: &str) {
    let out = root.join("out");
    let ended = compile(root, &out, &[]);
    assert_eq!(ended.code, Some(1));
    assert_eq!(
        ended.stderr,
        format!(
            "error[invalid-value]: {expected}\n  help: `mesh-policy certs -f .. -o DIR` issues the certificates of the resources anew\n1 \
             error in 1 file\n"
        )
    );
    assert!(!out.exists());
}

#[test]
fn a_certificate_of_the_mesh_that_is_no_good_is_one_clear_message() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let own = root.join("my-app/backend");
    let at = own.display();
    refused(root, &format!("the certificate file `{}` does not exist", root.join("ca.crt").display()));
    assert_eq!(certs(root, &[]).code, Some(0));
    fs::copy(root.join("my-app/frontend/tls.key"), own.join("tls.key")).unwrap();
    refused(root, &format!("the key `{at}/tls.key` is not that of the certificate `{at}/tls.crt`"));
    fs::remove_file(own.join("tls.key")).unwrap();
    refused(root, &format!("the key file `{at}/tls.key` does not exist"));
    let whole = fs::read_to_string(own.join("tls.crt")).unwrap();
    fs::write(own.join("tls.crt"), whole.split_at(whole.len() / 2).0).unwrap();
    let ended = compile(root, &root.join("out"), &[]);
    assert!(
        ended.stderr.starts_with(&format!("error[invalid-value]: the certificate file `{at}/tls.crt` ")),
        "{}",
        ended.stderr
    );
    fs::remove_file(own.join("tls.crt")).unwrap();
    refused(root, &format!("the certificate file `{at}/tls.crt` does not exist"));
}

#[test]
fn a_lifetime_has_a_unit() {
    let folder = tempfile::tempdir().unwrap();
    for ttl in ["24", "0h", "1y", "-1h"] {
        let out = folder.path().to_str().unwrap();
        let ended = mesh_policy(&["certs", "-f", "services.yaml", "-o", out, &format!("--ttl={ttl}")]);
        assert_eq!(ended.code, Some(2), "{ttl}");
        assert!(ended.stderr.contains("such as `24h`"), "{}", ended.stderr);
    }
}

#[test]
fn names_do_not_lead_out_of_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let ended = certs(folder.path(), &["--identity", "../.."]);
    assert_eq!(ended.code, Some(2));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    assert_eq!(mesh_policy(&["certs", "-f", "guide"]).code, Some(2));
}
