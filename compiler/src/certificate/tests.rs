use super::*;
use rcgen::{CertificateParams, KeyPair, SanType};

#[test]
fn a_chain_tells_its_uri_names_and_whether_a_key_is_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    let pair = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["a.io".to_owned()]).unwrap();
    params.subject_alt_names.push(SanType::URI("spiffe://a/ns/b/sa/c".try_into().unwrap()));
    fs::write(&certificate, params.self_signed(&pair).unwrap().pem()).unwrap();
    fs::write(&key, pair.serialize_pem()).unwrap();
    assert_eq!(Chain::read(&certificate, SystemTime::now()).unwrap().uris, ["spiffe://a/ns/b/sa/c"]);
    assert_eq!(check_pair(&certificate, &key, SystemTime::now()), Ok(()));
    let before = check_pair(&certificate, &key, SystemTime::UNIX_EPOCH).unwrap_err();
    assert!(before.contains("is not valid before"), "{before}");
}
