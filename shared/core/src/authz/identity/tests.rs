use super::*;

fn service_account(text: &str) -> PeerMatch {
    let (namespace, name) = text.split_once('/').unwrap();
    PeerMatch::service_account(namespace, name)
}

#[test]
fn identities_match_as_their_envoy_expressions_do() {
    let principal = PeerMatch::principal;
    let namespace = PeerMatch::namespace;
    let domain = PeerMatch::trust_domain;
    let full = "spiffe://td/ns/shop/sa/web";
    for (matcher, identity, expected) in [
        (principal("*"), full, true),
        (principal("*"), "CN=anything", true),
        (principal("*"), "", false),
        (principal("td/ns/shop/sa/web"), full, true),
        (principal("td/ns/shop/sa/we"), full, false),
        (principal("td/ns/shop/sa/web"), "td/ns/shop/sa/web", false),
        (principal("td/ns/*"), full, true),
        (principal("ns/*"), full, false),
        (principal("*/sa/web"), full, true),
        (principal("*/sa/web"), "https://td/ns/shop/sa/web", false),
        (principal("*spiffe://x"), "spiffe://x", false),
        (principal("spiffe://td/ns/shop/sa/web"), full, false),
        (principal("*/ns/shop/sa/*"), full, false),
        (namespace("shop"), full, true),
        (namespace("sho"), full, false),
        (namespace("shop"), "spiffe://td/ns/shop", false),
        (namespace("shop"), "urn:x/ns/shop/y", true),
        (namespace("sh*"), full, true),
        (namespace("*op"), full, true),
        (namespace("s*p"), full, true),
        (namespace("s*p"), "spiffe://td/ns/s/ns/x/sa/p/q", true),
        (namespace("s*p"), "spiffe://td/ns/shops/sa/x", false),
        (namespace("*"), full, true),
        (namespace("*"), "spiffe://td/ns/shop", false),
        (service_account("shop/web"), full, true),
        (service_account("shop/web"), "spiffe://other/ns/shop/sa/web", true),
        (service_account("shop/web"), "spiffe://td/ns/shop/sa/web/x", true),
        (service_account("shop/web"), "spiffe://td/ns/shop/sa/web/", false),
        (service_account("shop/web"), "spiffe://td/ns/shop/sa/webx", false),
        (service_account("shop/web"), "spiffe://td/ns/shop/x/y/sa/web", true),
        (service_account("shop/web"), "spiffe://td/ns/shop/xsa/web", false),
        (service_account("shop/web"), "spiffe:///ns/shop/sa/web", false),
        (service_account("shop/web"), "spiffe://td/ns/a/ns/shop/sa/web", true),
        (service_account("shop/web"), "spiffe://td/ns/ns/shop/sa/web", true),
        (service_account("shop/web"), "td/ns/shop/sa/web", false),
        (domain("td"), full, true),
        (domain("t"), full, false),
        (domain("td"), "spiffe://td", false),
        (domain("td"), "https://td/x", false),
        (domain("t*"), full, true),
        (domain("*d"), full, true),
        (domain("*shop"), full, false),
        (domain("t*"), "spiffe://td", false),
        (domain("*"), "spiffe://td", true),
        (domain("*"), "CN=x", false),
    ] {
        assert_eq!(matcher.matches(identity.as_bytes()), expected, "{matcher:?} {identity}");
    }
}

#[test]
fn a_comma_in_a_name_never_speaks_for_another_trust_domain() {
    let web = |name: &[u8]| PeerMatch::principal("good/ns/x/sa/web").matches(name);
    for (list, expected) in [
        ("spiffe://good/ns/x/sa/web", Some(true)),
        // Two names of one trust domain, in either order.
        ("spiffe://good/ns/x/sa/web,spiffe://good/ns/x/sa/other", Some(true)),
        ("spiffe://good/ns/x/sa/other,spiffe://good/ns/x/sa/web", Some(true)),
        ("spiffe://good/a,spiffe://good/b", Some(false)),
        // One name or two: nobody can tell.
        ("spiffe://evil/a,spiffe://good/ns/x/sa/web", None),
        ("spiffe://good/ns/x/sa/web,https://good/", None),
        ("https://good/ns/x,spiffe://good/ns/x/sa/web", None),
        ("spiffe://evil,spiffe://good/ns/x/sa/web", None),
        // Neither reading has it.
        ("spiffe://evil/a,b", Some(false)),
    ] {
        assert_eq!(any_name(list.as_bytes(), web), expected, "{list}");
    }
    // Whose trust domain does not count, both readings agree on.
    let account = |name: &[u8]| service_account("x/web").matches(name);
    assert_eq!(any_name(b"spiffe://evil/a,spiffe://good/ns/x/sa/web", account), Some(true));
    let domain = |name: &[u8]| PeerMatch::trust_domain("evil").matches(name);
    assert_eq!(any_name(b"spiffe://evil/a,spiffe://good/b", domain), Some(true));
    // The tail of the whole matches, that of no name does.
    let tail = |name: &[u8]| PeerMatch::principal("*/a,b").matches(name);
    assert_eq!(any_name(b"spiffe://td/a,b", tail), None);
}

#[test]
fn principals_follow_the_trust_domain_and_its_aliases() {
    let domains = ["new.example".to_owned(), "old.example".to_owned()];
    let list = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
    for (principal, expected) in [
        ("old.example/ns/a/sa/b", list(&["new.example/ns/a/sa/b", "old.example/ns/a/sa/b"])),
        ("cluster.local/ns/a/sa/b", list(&["new.example/ns/a/sa/b", "old.example/ns/a/sa/b"])),
        ("foreign/ns/a/sa/b", list(&["foreign/ns/a/sa/b"])),
        ("*/ns/a/sa/b", list(&["*/ns/a/sa/b"])),
        ("*w.example/ns/a/sa/b", list(&["*w.example/ns/a/sa/b", "old.example/ns/a/sa/b"])),
        ("*.example/ns/a/sa/b", list(&["*.example/ns/a/sa/b"])),
        ("old*/ns/a/sa/b", list(&["new.example/ns/a/sa/b", "old.example/ns/a/sa/b"])),
        ("old.example/ns/a", list(&["old.example/ns/a"])),
        ("*", list(&["*"])),
        ("old.example/ns/a/sa/b/c", list(&["old.example/ns/a/sa/b/c"])),
    ] {
        assert_eq!(with_aliases(principal, &domains), expected, "{principal}");
    }
}

#[cfg(not(target_family = "wasm"))]
mod properties {
    use super::*;
    use proptest::prelude::*;

    fn full_match(pattern: &str, text: &str) -> bool {
        regex::Regex::new(&format!("^(?:{pattern})$")).unwrap().is_match(text)
    }

    proptest! {
        #[test]
        fn service_accounts_agree_with_envoys_expression(
            parts in prop::collection::vec(prop::sample::select(vec!["/ns/", "n", "/", "sa/", "s", "t"]), 0..9),
        ) {
            let identity = format!("spiffe://{}", parts.concat());
            let expected = full_match("spiffe://.+/ns/n/(.*/)?sa/s(/.+)?", &identity);
            prop_assert_eq!(service_account("n/s").matches(identity.as_bytes()), expected, "{}", identity);
        }

        #[test]
        fn namespaces_agree_with_envoys_expression(
            namespace in "[ab*]{1,4}",
            parts in prop::collection::vec(prop::sample::select(vec!["/ns/", "/", "a", "b"]), 0..8),
        ) {
            let identity = parts.concat();
            let expected = full_match(&format!(".*/ns/{}/.*", namespace.replace('*', ".*")), &identity);
            let found = PeerMatch::namespace(&namespace).matches(identity.as_bytes());
            prop_assert_eq!(found, expected, "{} {}", namespace, identity);
        }
    }
}
