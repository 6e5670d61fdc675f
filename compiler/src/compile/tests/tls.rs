//! Servers with TLS, and TLS towards services.

use super::*;
use crate::finding::Finding;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType, date_time_ymd};
use std::fs;
use std::path::Path;

/// A folder with `ca.crt`, `tls.crt`, `tls.key`, another `other.key` and an `expired.crt`.
pub(super) fn certificates() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut leaf = CertificateParams::new(vec!["shop.io".to_owned()]).unwrap();
    leaf.subject_alt_names
        .push(SanType::URI("spiffe://cluster.local/ns/istio-system/sa/edge".try_into().unwrap()));
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("ca.crt", &ca.pem());
    write("tls.crt", &leaf.signed_by(&key, &ca).unwrap().pem());
    write("tls.key", &key.serialize_pem());
    write("other.key", &KeyPair::generate().unwrap().serialize_pem());
    leaf.not_after = date_time_ymd(2020, 1, 1);
    leaf.not_before = date_time_ymd(2019, 1, 1);
    write("expired.crt", &leaf.signed_by(&key, &ca).unwrap().pem());
    folder
}

pub(super) fn https(tls: &str) -> String {
    SHOP.replace(
        "port: {number: 80, name: http, protocol: HTTP}",
        &format!("port: {{number: 443, name: https, protocol: HTTPS}}\n    tls: {{{tls}}}"),
    )
}

pub(super) fn compile_in(folder: &Path, text: &str) -> Result<CompiledProxy, Refusal> {
    let text = text.replace("DIR", &folder.display().to_string());
    let options = Options { secrets: folder.parent().map(Path::to_owned), ..options() };
    compile(&Sources::from_text("shop.yaml", &text), &gateway(), &options)
}

pub(super) fn socket(proxy: &CompiledProxy) -> &Value {
    let chain = &proxy.bootstrap["static_resources"]["listeners"][0]["filter_chains"][0];
    &chain["transport_socket"]["typed_config"]
}

pub(super) const SIMPLE: &str = "mode: SIMPLE, serverCertificate: DIR/tls.crt, privateKey: DIR/tls.key";

fn with_names(folder: &Path, secret: &str) -> String {
    secret.replace("NAME", &folder.file_name().unwrap().to_string_lossy())
}

#[test]
fn a_server_with_tls_is_a_chain_for_its_hosts() {
    let folder = certificates();
    let proxy = compile_in(folder.path(), &https(SIMPLE)).unwrap();
    let listener = &proxy.bootstrap["static_resources"]["listeners"][0];
    assert_eq!(listener["listener_filters"][0]["name"], "envoy.filters.listener.tls_inspector");
    let chain = &listener["filter_chains"][0];
    assert_eq!(
        chain["filter_chain_match"],
        json!({"server_names": ["*.shop.io", "admin.shop.io"], "transport_protocol": "tls"})
    );
    assert_eq!(manager(&proxy, 0)["route_config"]["name"], "https.443.https.edge.istio-system");
    let context = socket(&proxy);
    assert_eq!(context["require_client_certificate"], false);
    assert_eq!(
        context["common_tls_context"],
        json!({
            "tls_certificates": [{
                "certificate_chain": {"filename": folder.path().join("tls.crt")},
                "private_key": {"filename": folder.path().join("tls.key")},
            }],
            "alpn_protocols": ["h2", "http/1.1"],
        })
    );
    assert_eq!(proxy.listeners[0].urls, ["https://127.0.0.1:443/"]);
}

#[test]
fn client_certificates_are_asked_for_as_the_mode_says() {
    let folder = certificates();
    for (mode, required) in [("MUTUAL", true), ("OPTIONAL_MUTUAL", false)] {
        let settings = format!(
            "{}, caCertificates: DIR/ca.crt, subjectAltNames: [a.io], minProtocolVersion: TLSV1_3, \
             maxProtocolVersion: TLSV1_3, cipherSuites: [AES128-SHA, AES128-SHA, NONE]",
            SIMPLE.replace("SIMPLE", mode)
        );
        let proxy = compile_in(folder.path(), &https(&settings)).unwrap();
        assert_eq!(socket(&proxy)["require_client_certificate"], required, "{mode}");
        let common = &socket(&proxy)["common_tls_context"];
        assert_eq!(
            common["validation_context"]["trusted_ca"]["filename"],
            json!(folder.path().join("ca.crt"))
        );
        assert_eq!(
            common["validation_context"]["match_typed_subject_alt_names"][0]["matcher"]["exact"],
            "a.io"
        );
        assert_eq!(
            common["tls_params"],
            json!({"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3",
                   "cipher_suites": ["AES128-SHA"]})
        );
        assert_eq!(proxy.warnings.len(), 2, "{:?}", proxy.warnings);
    }
}

#[test]
fn secrets_are_folders_with_the_names_of_kubernetes() {
    let folder = certificates();
    let text = with_names(folder.path(), &https("mode: MUTUAL, credentialName: NAME"));
    // Names of secrets are DNS names; that of a temporary folder begins with a dot.
    let secrets = tempfile::tempdir().unwrap();
    let secret = secrets.path().join("shop-cert");
    fs::create_dir(&secret).unwrap();
    for name in ["tls.crt", "tls.key", "ca.crt"] {
        fs::copy(folder.path().join(name), secret.join(name)).unwrap();
    }
    let refused = compile_in(&secret, &text).unwrap_err();
    assert!(
        refused.findings.iter().any(|f| f.message.contains("expected the name of a secret")),
        "{refused}"
    );
    let text = https("mode: MUTUAL, credentialName: shop-cert");
    let proxy = compile_in(&secret, &text).unwrap();
    let common = &socket(&proxy)["common_tls_context"];
    assert_eq!(common["tls_certificates"][0]["private_key"]["filename"], json!(secret.join("tls.key")));
    assert_eq!(common["validation_context"]["trusted_ca"]["filename"], json!(secret.join("ca.crt")));
}

#[test]
fn files_that_cannot_be_used_are_named_where_they_are_asked_for() {
    let folder = certificates();
    let at = folder.path().display();
    for (settings, field, message) in [
        (
            SIMPLE.replace("tls.crt", "none.crt"),
            "serverCertificate",
            format!("the certificate file `{at}/none.crt` does not exist"),
        ),
        (
            SIMPLE.replace("tls.crt", "tls.key"),
            "serverCertificate",
            format!("the certificate file `{at}/tls.key` has no certificate in PEM"),
        ),
        (
            SIMPLE.replace("tls.crt", "expired.crt"),
            "serverCertificate",
            format!("the certificate `{at}/expired.crt` expired on Wed, 01 Jan 2020 00:00:00 +0000"),
        ),
        (
            SIMPLE.replace("tls.key", "other.key"),
            "privateKey",
            format!("the key `{at}/other.key` is not that of the certificate `{at}/tls.crt`"),
        ),
        (
            SIMPLE.replace("tls.key", "ca.crt"),
            "privateKey",
            format!("the key file `{at}/ca.crt` has no private key in PEM"),
        ),
        (
            format!("{}, caCertificates: DIR/tls.key", SIMPLE.replace("SIMPLE", "MUTUAL")),
            "caCertificates",
            format!("the certificate file `{at}/tls.key` has no certificate in PEM"),
        ),
    ] {
        let refusal = compile_in(folder.path(), &https(&settings)).unwrap_err();
        let errors: Vec<&Finding> = refusal.findings.iter().filter(|f| f.is_error()).collect();
        let found: Vec<(String, String)> =
            errors.iter().map(|f| (f.path.clone(), f.message.clone())).collect();
        assert_eq!(found, [(format!("spec.servers[0].tls.{field}"), message)], "{settings}");
    }
}

#[test]
fn without_a_folder_secrets_and_mesh_certificates_are_refused() {
    assert_eq!(
        refused(&https("mode: SIMPLE, credentialName: shop")),
        [
            "shop.yaml:9:25: error[unsupported]: Gateway istio-system/edge: spec.servers[0].tls.credentialName: the secret `shop` \
          cannot be found: no folder with secrets is given (`--secrets DIR` names it; the files are `DIR/NAME/tls.crt`, `tls.key` \
          and `ca.crt`)"
        ]
    );
    assert_eq!(
        refused(&https("mode: ISTIO_MUTUAL")),
        [
            "shop.yaml:9:11: error[unsupported]: Gateway istio-system/edge: spec.servers[0].tls.mode: the mode ISTIO_MUTUAL needs the \
          mesh's certificates, and nothing says where they come from (`mesh-policy certs` issues certificates and `--certs` names their folder; `--sds` names the socket of SPIRE's agent)"
        ]
    );
}

#[test]
fn a_gateway_shows_the_mesh_its_own_certificate() {
    let folder = certificates();
    let own = folder.path().join("istio-system/edge");
    fs::create_dir_all(&own).unwrap();
    for name in ["tls.crt", "tls.key"] {
        fs::copy(folder.path().join(name), own.join(name)).unwrap();
    }
    let with = |account: &str| Options {
        certificates: Some(folder.path().to_owned()),
        gateway_service_account: account.to_owned(),
        ..options()
    };
    let text = https("mode: ISTIO_MUTUAL");
    let proxy = compile(&Sources::from_text("shop.yaml", &text), &gateway(), &with("edge")).unwrap();
    assert_eq!(socket(&proxy)["require_client_certificate"], true);
    assert_eq!(
        socket(&proxy)["common_tls_context"]["validation_context"]["match_typed_subject_alt_names"],
        json!([{"san_type": "URI", "matcher": {"prefix": "spiffe://cluster.local/"}}])
    );
    let other = folder.path().join("istio-system/other");
    fs::rename(&own, &other).unwrap();
    assert_eq!(
        refused_for(&text, &with("other")),
        [format!(
            "error[invalid-value]: the certificate `{}` is not for `spiffe://cluster.local/ns/istio-system/sa/other`, but for \
             `spiffe://cluster.local/ns/istio-system/sa/edge` (`mesh-policy certs -f .. -o DIR` issues the certificates of the resources anew)",
            other.join("tls.crt").display()
        )]
    );
}

#[test]
fn a_service_is_spoken_to_as_the_rule_says() {
    let folder = certificates();
    let text = with_policy(
        "{tls: {mode: MUTUAL, clientCertificate: DIR/tls.crt, privateKey: DIR/tls.key, caCertificates: DIR/ca.crt}}",
    );
    let proxy = compile_in(folder.path(), &text).unwrap();
    let cluster = cluster(&proxy, "outbound|80|v1|customers.shop.svc.cluster.local");
    let context = &cluster["transport_socket"]["typed_config"];
    assert_eq!(context.get("sni"), None);
    assert_eq!(
        http_options(cluster)["upstream_http_protocol_options"],
        json!({"auto_sni": true, "auto_san_validation": true})
    );
    let named = text.replace("{mode:", "{sni: a.io, subjectAltNames: [b.io], mode:");
    let proxy = compile_in(folder.path(), &named).unwrap();
    let cluster = super::cluster(&proxy, "outbound|80|v1|customers.shop.svc.cluster.local");
    let context = &cluster["transport_socket"]["typed_config"];
    assert_eq!(context["sni"], "a.io");
    assert_eq!(http_options(cluster).get("upstream_http_protocol_options"), None);
    let names = &context["common_tls_context"]["validation_context"]["match_typed_subject_alt_names"];
    assert_eq!(names[0], json!({"san_type": "DNS", "matcher": {"exact": "b.io"}}));
}

#[test]
fn a_certificate_of_the_service_is_not_looked_at_only_where_the_rule_says_so() {
    let proxy = compiled(&with_policy("{tls: {mode: SIMPLE, insecureSkipVerify: true}}"));
    let cluster = cluster(&proxy, "outbound|80||customers.shop.svc.cluster.local");
    let common = &cluster["transport_socket"]["typed_config"]["common_tls_context"];
    assert_eq!(common.get("validation_context"), None);
    assert_eq!(
        http_options(cluster)["upstream_http_protocol_options"],
        json!({"auto_sni": true, "auto_san_validation": false})
    );
}

#[test]
fn hosts_of_a_redirecting_server_are_never_forwarded() {
    let text = SHOP.replace(
        "name: http, protocol: HTTP}\n---",
        "name: http, protocol: HTTP}\n    tls: {httpsRedirect: true}\n  - hosts: [\"open.io\", \"www.shop.io\"]\n    \
         port: {number: 80, name: open, protocol: HTTP}\n---",
    );
    let text =
        text.replace("hosts: [\"*.shop.io\"]\n  gateways", "hosts: [\"*.shop.io\", open.io]\n  gateways");
    let proxy = compiled(&text);
    let hosts = &manager(&proxy, 0)["route_config"]["virtual_hosts"];
    // The narrower host is another server's, and open.
    assert_eq!(hosts[0]["domains"], json!(["*.shop.io", "admin.shop.io"]));
    assert_eq!(hosts[0]["routes"][0]["redirect"], json!({"https_redirect": true}));
    assert_eq!(hosts[0]["routes"][0]["typed_per_filter_config"]["mesh_policy"]["disabled"], true);
    assert_eq!(hosts[1]["domains"], json!(["open.io", "www.shop.io", "*"]));
}

#[test]
fn servers_that_cannot_stand_on_one_port_have_no_effect_and_it_is_said() {
    let folder = certificates();
    let text = https(SIMPLE).replace(
        "DIR/tls.key}",
        "DIR/tls.key}\n  - {port: {number: 443, name: two, protocol: TCP}, hosts: [\"*\"]}\n  \
         - {port: {number: 443, name: three, protocol: TLS}, hosts: [\"*.shop.io\"], tls: {mode: PASSTHROUGH}}",
    );
    let proxy = compile_in(folder.path(), &text).unwrap();
    let warnings: Vec<String> = proxy.warnings.iter().map(|warning| warning.message.clone()).collect();
    assert_eq!(
        warnings,
        [
            "has no effect: another server has port 443 already, and nothing tells their connections apart",
            "the server has no effect: another one with TLS on port 443 has the host `*.shop.io`"
        ]
    );
}
