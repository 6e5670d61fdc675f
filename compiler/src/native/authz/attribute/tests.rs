use super::*;

fn request_principal_of(value: &str) -> (Value, Value) {
    let both = request_principal(value);
    let matcher = |index: usize| {
        both["and_ids"]["ids"][index]["sourced_metadata"]["metadata_matcher"]["value"]["string_match"].clone()
    };
    (matcher(0), matcher(1))
}

#[test]
fn a_token_is_compared_by_issuer_and_subject() {
    let any = || json!({"safe_regex": {"regex": ".+"}});
    let exact = |text: &str| json!({"exact": text});
    for (value, issuer, subject) in [
        ("*", any(), any()),
        ("https://id.io/user", exact("https://id.io"), exact("user")),
        ("https://id.io/*", exact("https://id.io"), any()),
        ("https://id.io/us*", exact("https://id.io"), json!({"prefix": "us"})),
        ("*.io/user", json!({"suffix": ".io"}), exact("user")),
        ("*/user", any(), exact("user")),
        ("*/us*", any(), exact("us*")),
        ("*er", any(), json!({"suffix": "er"})),
        ("id*", json!({"prefix": "id"}), any()),
        ("id", exact("id"), exact("")),
    ] {
        assert_eq!(request_principal_of(value), (issuer, subject), "{value}");
    }
}

#[test]
fn conditions_name_their_attribute() {
    let claim = |names: &[&str]| Some(Attribute::Claim(names.iter().map(ToString::to_string).collect()));
    assert_eq!(Attribute::named("request.headers[x-a]"), Some(Attribute::Header("x-a".to_owned())));
    assert_eq!(Attribute::named("request.auth.claims[a][b]"), claim(&["a", "b"]));
    assert_eq!(Attribute::named("request.auth.claims[a[b]]"), claim(&["a[b]"]));
    assert_eq!(Attribute::named("request.auth.audiences"), claim(&["aud"]));
    let metadata = Attribute::Metadata("envoy.filters.network.mysql_proxy".to_owned(), "db".to_owned());
    assert_eq!(Attribute::named("experimental.envoy.filters.network.mysql_proxy[db]"), Some(metadata));
    for unknown in
        ["request.headers[]", "request.headers", "destination.name", "source.ip[a]", "experimental.x[a]"]
    {
        assert_eq!(Attribute::named(unknown), None, "{unknown}");
    }
}

#[test]
fn every_attribute_has_its_matcher() {
    let holds = |attribute: Attribute, value: &str| attribute.holds(value, "shop").unwrap();
    assert_eq!(
        holds(Attribute::Host, "a.com:*"),
        json!({"header": {"name": ":authority", "string_match": {"prefix": "a.com:", "ignore_case": true}}})
    );
    assert_eq!(holds(Attribute::Method, "*"), json!({"header": {"name": ":method", "present_match": true}}));
    assert_eq!(holds(Attribute::Path, "/a*"), json!({"url_path": {"path": {"prefix": "/a"}}}));
    let template = holds(Attribute::Path, "/a/{*}/b/{**}");
    assert_eq!(template["uri_template"]["typed_config"]["path_template"], "/a/*/b/**");
    assert_eq!(holds(Attribute::DestinationPort, "8080"), json!({"destination_port": 8080}));
    assert_eq!(
        holds(Attribute::SourceIp, "10.0.0.0/8"),
        json!({"direct_remote_ip": {"address_prefix": "10.0.0.0", "prefix_len": 8}})
    );
    let list = holds(Attribute::Metadata("envoy.filters.x".to_owned(), "k".to_owned()), "[v]");
    assert_eq!(
        list["sourced_metadata"]["metadata_matcher"]["value"],
        json!({"list_match": {"one_of": {"string_match": {"exact": "v"}}}})
    );
    assert_eq!(Attribute::DestinationPort.holds("65536", "shop"), None);
    assert_eq!(Attribute::RemoteIp.holds("10.0.0.300", "shop"), None);
}
