use super::*;
use crate::{
    client::{Client, Http2Client, Request},
    upstream::Upstream,
};

const FRONTEND: &str = "spiffe://cluster.local/ns/my-app/sa/frontend";
const BACKEND: &str = "spiffe://cluster.local/ns/my-app/sa/backend";

fn dns(name: &str) -> Expect {
    Expect::Dns(name.to_owned())
}

fn spiffe(id: &str) -> Expect {
    Expect::Spiffe { id: id.to_owned(), sni: "backend.my-app".to_owned() }
}

#[test]
fn the_server_of_mtls_learns_the_clients_identity() {
    let authority = Authority::new("test").unwrap();
    let (server, client) = (authority.workload(BACKEND).unwrap(), authority.workload(FRONTEND).unwrap());
    let config = authority.server_config(&server, true).unwrap();
    let upstream = Upstream::builder("backend").tls(config).start().unwrap();
    let tls = authority.client(spiffe(BACKEND), Some(&client)).unwrap();

    let http1 = Client::with_tls(upstream.address(), tls.clone());
    assert_eq!(http1.get("/one").unwrap().echo().unwrap().protocol, "HTTP/1.1");
    let http2 = Http2Client::connect_tls(upstream.address(), &tls).unwrap();
    assert_eq!(http2.send(&Request::get("/two")).unwrap().echo().unwrap().protocol, "HTTP/2.0");

    let peers: Vec<_> = upstream.requests().into_iter().map(|received| received.peer).collect();
    assert_eq!(peers, [[FRONTEND], [FRONTEND]]);
}

#[test]
fn mtls_refuses_a_client_without_a_certificate_or_with_a_strangers() {
    let authority = Authority::new("test").unwrap();
    let stranger = Authority::new("stranger").unwrap().workload(FRONTEND).unwrap();
    let server = authority.workload(BACKEND).unwrap();
    let config = authority.server_config(&server, true).unwrap();
    let upstream = Upstream::builder("backend").tls(config).start().unwrap();
    for identity in [None, Some(&stranger)] {
        let tls = authority.client(spiffe(BACKEND), identity).unwrap();
        assert!(Client::with_tls(upstream.address(), tls).get("/").is_err());
    }
    assert_eq!(upstream.count(), 0);
}

#[test]
fn a_client_refuses_the_wrong_name_and_the_wrong_authority() {
    let authority = Authority::new("test").unwrap();
    let stranger = Authority::new("stranger").unwrap();
    let by_dns = authority.server(&["shop.example.com"]).unwrap();
    let by_uri = authority.workload(BACKEND).unwrap();
    for (identity, good, bad) in [
        (&by_dns, dns("shop.example.com"), dns("bank.example.com")),
        (&by_uri, spiffe(BACKEND), spiffe(FRONTEND)),
    ] {
        let config = authority.server_config(identity, false).unwrap();
        let upstream = Upstream::builder("shop").tls(config).start().unwrap();
        let get = |tls| Client::with_tls(upstream.address(), tls).get("/");
        assert_eq!(get(authority.client(good.clone(), None).unwrap()).unwrap().status, 200);
        let error = get(authority.client(bad, None).unwrap()).unwrap_err().to_string();
        assert!(error.contains("not valid for") || error.contains("NotValidForName"), "{error}");
        let error = get(stranger.client(good, None).unwrap()).unwrap_err().to_string();
        assert!(error.contains("invalid peer certificate"), "{error}");
    }
}

#[test]
fn the_files_are_pem() {
    let authority = Authority::new("test").unwrap();
    let identity = authority.workload(BACKEND).unwrap();
    let begins = |path: &Path, label: &str| {
        fs::read_to_string(path).unwrap().starts_with(&format!("-----BEGIN {label}-----"))
    };
    assert!(begins(&authority.certificate(), "CERTIFICATE"));
    assert!(begins(identity.certificate(), "CERTIFICATE"));
    assert!(begins(identity.key(), "PRIVATE KEY"));
}
