//! Why a request was denied: in the access log for whoever runs the gateway, and not in the answer unless asked for.

use mesh_policy_compiler::{Modules, Options};
use mesh_policy_integration::{
    Result,
    client::Request,
    edge::{Edge, policy},
    modules::Module,
};
use serde_json::Value;

fn policies() -> String {
    [
        policy("no-admin", "{action: DENY, rules: [{to: [{operation: {paths: ['/admin*']}}]}]}"),
        policy(
            "open",
            "{rules: [{to: [{operation: {methods: [GET], paths: ['/public/*']}}]}, \
             {from: [{source: {ipBlocks: [10.0.0.0/8]}}], to: [{operation: {paths: [/private]}}], \
             when: [{key: 'request.headers[x-env]', values: [prod]}]}]}",
        ),
        policy("watch", "{action: AUDIT, rules: [{to: [{operation: {paths: [/public/watched]}}]}]}"),
    ]
    .concat()
}

fn requests() -> [(Request, u16); 5] {
    [
        (Request::get("/admin/users"), 403),
        (Request::new("POST", "/public/x"), 403),
        (Request::get("/private").header("x-env", "secret-value"), 403),
        (Request::get("/public/watched"), 200),
        (Request::get("/public/x"), 200),
    ]
}

const DENIED: [&str; 3] = [
    "ns[istio-system]-policy[no-admin]-rule[0]",
    "none;nearest=ns[istio-system]-policy[open]-rule[0]:to[0].operation.methods",
    "none;nearest=ns[istio-system]-policy[open]-rule[0]:to[0].operation.paths",
];

fn field<'l>(line: &'l Value, name: &str) -> Option<&'l str> {
    line.get(name).and_then(Value::as_str)
}

#[test]
fn the_access_log_names_the_rule_or_the_nearest_miss_and_the_client_learns_nothing() -> Result<()> {
    let separate = Modules::Separate {
        authz: Module::Authz.path()?,
        headers: Module::Headers.path()?,
        fault: Module::Fault.path()?,
        router: Module::Router.path()?,
    };
    for modules in [Modules::Fused(Module::Policy.path()?), separate] {
        let edge = Edge::start_with(&policies(), Options { modules, ..Options::default() })?;
        for (request, status) in requests() {
            let response = edge.send(&request)?;
            assert_eq!(response.status, status, "{request:?}");
            if status == 403 {
                assert_eq!(response.text(), "RBAC: access denied");
                assert_eq!(response.header("x-mesh-policy-denied-by"), None);
            }
        }
        let log = edge.access_log(5)?;
        let seen = |name| log.iter().map(|line| field(line, name).map(str::to_owned)).collect::<Vec<_>>();
        let details = DENIED.map(|reason| {
            let (rule, rest) = reason.split_once(';').unwrap_or((reason, ""));
            let separator = if rest.is_empty() { "" } else { ";" };
            Some(format!("rbac_access_denied_matched_policy[{rule}]{separator}{rest}"))
        });
        let upstream = || Some("via_upstream".to_owned());
        let [admin, post, private] = details;
        assert_eq!(seen("response_code_details"), [admin, post, private, upstream(), upstream()]);
        let [admin, post, private] = DENIED.map(|reason| Some(reason.to_owned()));
        assert_eq!(seen("authz"), [admin, post, private, None, None]);
        let watched = Some("ns[istio-system]-policy[watch]-rule[0]".to_owned());
        assert_eq!(seen("authz_audit"), [None, None, None, watched, None]);
        assert!(log.iter().all(|line| !line.to_string().contains("secret-value")), "{log:?}");
    }
    Ok(())
}

#[test]
fn the_client_is_told_where_the_configuration_asks_for_it() -> Result<()> {
    let edge = Edge::start_with(&policies(), Options { explain_denials: true, ..Options::default() })?;
    let denied = requests().into_iter().filter(|(_, status)| *status == 403);
    for ((request, _), reason) in denied.zip(DENIED) {
        let response = edge.send(&request)?;
        assert_eq!((response.status, response.text().as_str()), (403, "RBAC: access denied"));
        assert_eq!(response.header("x-mesh-policy-denied-by").as_deref(), Some(reason));
    }
    let allowed = edge.send(&Request::get("/public/x"))?;
    assert_eq!((allowed.status, allowed.header("x-mesh-policy-denied-by")), (200, None));
    Ok(())
}

#[test]
fn policies_on_trial_change_nothing_and_are_logged_and_counted() -> Result<()> {
    let on_trial = |name: &str, spec: &str| {
        policy(name, spec).replace("metadata: {", "metadata: {annotations: {istio.io/dry-run: 'true'}, ")
    };
    let edge = Edge::start(&format!(
        "{}{}",
        on_trial("no-a", "{action: DENY, rules: [{to: [{operation: {paths: [/a]}}]}]}"),
        on_trial("only-b", "{rules: [{to: [{operation: {paths: [/b]}}]}]}")
    ))?;
    for path in ["/a", "/b", "/b", "/c"] {
        assert_eq!(edge.send(&Request::get(path))?.status, 200, "{path}");
    }
    let log = edge.access_log(4)?;
    let seen =
        |name| log.iter().map(|line| field(line, name).unwrap_or_default().to_owned()).collect::<Vec<_>>();
    let (no_a, only_b) = ("ns[istio-system]-policy[no-a]-rule[0]", "ns[istio-system]-policy[only-b]-rule[0]");
    assert_eq!(
        seen("authz_shadow_deny"),
        [format!("denied:{no_a}"), "allowed:none".into(), "allowed:none".into(), "allowed:none".into()]
    );
    let allowed = format!("allowed:{only_b}");
    assert_eq!(
        seen("authz_shadow_allow"),
        ["denied:none".to_owned(), allowed.clone(), allowed, "denied:none".into()]
    );
    let counters = edge.envoy.admin().get("/stats/prometheus?filter=mesh_policy_shadow")?;
    let mut counted: Vec<&str> = counters.lines().filter(|line| !line.starts_with('#')).collect();
    counted.sort_unstable();
    let counter = |policy: &str, action: &str, result: &str, count: u32| {
        let labels = format!("policy=\"{policy}\",action=\"{action}\",result=\"{result}\"");
        format!("mesh_policy_shadow{{{labels}}} {count}")
    };
    assert_eq!(
        counted,
        [
            counter("istio-system/no-a", "DENY", "denied", 1),
            counter("istio-system/only-b", "ALLOW", "allowed", 2),
            counter("none", "ALLOW", "denied", 2),
            counter("none", "DENY", "allowed", 3),
        ]
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
    );
    Ok(())
}
