use super::*;

fn before(providers: &[&str]) -> ProxyContext {
    let providers = providers.iter().map(|name| (*name).to_owned()).collect();
    ProxyContext { ext_authz: ExternalAuthorization::Before(providers), ..orders() }
}

fn custom(name: &str, provider: &str, path: &str) -> String {
    policy(
        name,
        &format!(
            r#"{{"action": "CUSTOM", "provider": {{"name": "{provider}"}}, "rules": [{{"to": [{{"operation": {{"paths": ["{path}"]}}}}]}}]}}"#
        ),
    )
}

fn judge(request: &Request, authorizer: &Authorizer, look: impl FnOnce(Verdict<'_>)) {
    request.see(|view| look(authorizer.authorize(view, &mut ())));
}

fn deny_all() -> String {
    policy("d", r#"{"action": "DENY", "rules": [{}]}"#)
}

#[test]
fn in_front_of_ext_authz_only_custom_policies_are_judged() {
    let (authorizer, problems) = compile(&[custom("c", "opa", "/admin*"), deny_all()], &before(&["opa"]));
    assert!(problems.is_empty(), "{problems}");
    assert!(authorizer.stands_before_ext_authz());
    assert_eq!(authorizer.policies().len(), 1);
    let admin = Request::get("/admin/x");
    judge(&admin, &authorizer, |verdict| {
        assert!(verdict.is_allowed());
        assert_eq!(verdict.asks(), Some("opa"));
        assert_eq!(verdict.determining().unwrap().to_string(), "ns[shop]-policy[c]-rule[0]");
    });
    judge(&Request::get("/"), &authorizer, |verdict| {
        assert!(verdict.is_allowed());
        assert_eq!((verdict.asks(), verdict.determining()), (None, None));
    });
}

#[test]
fn behind_ext_authz_everything_else_is_judged() {
    let proxy = ProxyContext { ext_authz: ExternalAuthorization::After, ..orders() };
    let (authorizer, problems) = compile(&[custom("c", "opa", "/admin*"), deny_all()], &proxy);
    assert!(problems.is_empty(), "{problems}");
    assert_eq!(authorizer.policies().len(), 1);
    judge(&Request::get("/admin"), &authorizer, |verdict| {
        assert!(!verdict.is_allowed());
        assert_eq!(verdict.asks(), None);
    });
    let (authorizer, _) = compile(&[custom("c", "opa", "/admin*")], &proxy);
    assert!(authorizer.is_empty());
}

#[test]
fn whoever_cannot_be_asked_denies() {
    let bad = "rbac_access_denied_matched_policy[ns[shop]-policy[c]-rule[0]-deny-due-to-bad-CUSTOM-action]";
    let two = [custom("c", "opa", "/admin*"), custom("e", "iam", "/other")];
    for (policies, available) in
        [(&two[..1], &[][..]), (&two[..1], &["iam"][..]), (&two[..], &["opa", "iam"][..])]
    {
        let (authorizer, problems) = compile(policies, &before(available));
        assert!(!problems.has_errors(), "{problems}");
        judge(&Request::get("/admin"), &authorizer, |verdict| {
            assert_eq!((verdict.is_allowed(), verdict.asks()), (false, None));
            assert_eq!(verdict.local_reply().unwrap().details, bad);
        });
        judge(&Request::get("/"), &authorizer, |verdict| assert!(verdict.is_allowed()));
    }
    let (_, problems) = compile(&two[..1], &before(&["iam"]));
    assert_eq!(
        problems.to_string(),
        "items[0].spec.provider.name: no provider `opa` can be asked: requests that match are denied\n"
    );
}

/// What cannot be told leads to the question, never past it.
#[test]
fn doubt_is_the_providers_to_settle() {
    let spec = r#"{"action": "CUSTOM", "provider": {"name": "opa"}, "rules": [{"from": [{"source": {"notIpBlocks": ["10.0.0.0/8"]}}]}]}"#;
    let (authorizer, _) = compile(&[policy("c", spec)], &before(&["opa"]));
    let request = Request::get("/");
    judge(&request, &authorizer, |verdict| assert_eq!(verdict.asks(), None));
    judge(&request.lacking(Attribute::DirectRemoteIp), &authorizer, |verdict| {
        assert_eq!(verdict.asks(), Some("opa"))
    });
}

#[test]
fn a_position_has_to_make_sense() {
    for (settings, expected) in [
        (r#"{}"#, "authz.extAuthz.position: missing: expected BEFORE or AFTER\n"),
        (
            r#"{"position": "AFTER", "providers": ["a"]}"#,
            "authz.extAuthz.providers: only a filter in front of ext_authz (BEFORE) says whom to ask\n",
        ),
        (r#"{"position": "BEFORE"}"#, ""),
    ] {
        let text = format!(r#"{{"kind": "List", "items": [], "authz": {{"extAuthz": {settings}}}}}"#);
        let config = PluginConfig::from_json(text.as_bytes()).unwrap();
        let mut problems = Problems::new();
        ExternalAuthorization::compile(config.authz.ext_authz.as_ref(), &mut problems);
        assert_eq!(problems.to_string(), expected);
    }
}
