use super::*;
use crate::request::{Attribute, Attributes, HeaderMap};
use mesh_policy_istio::workload::PluginConfig;
use std::collections::BTreeMap;

mod conditions;
mod external;
mod reasons;
mod refusals;
mod shapes;

/// A policy in namespace `shop`: its name and its spec.
fn policy(name: &str, spec: &str) -> String {
    policy_in("shop", name, "{}", spec)
}

fn policy_in(namespace: &str, name: &str, annotations: &str, spec: &str) -> String {
    format!(
        r#"{{"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
            "metadata": {{"name": "{name}", "namespace": "{namespace}", "annotations": {annotations}}}, "spec": {spec}}}"#
    )
}

const DRY: &str = r#"{"istio.io/dry-run": "true"}"#;

fn orders() -> ProxyContext {
    ProxyContext {
        namespace: "shop".to_owned(),
        labels: Some(BTreeMap::from([("app".to_owned(), "orders".to_owned())])),
        ..ProxyContext::default()
    }
}

fn compile(policies: &[String], proxy: &ProxyContext) -> (Authorizer, Problems) {
    let text = format!(r#"{{"kind": "List", "items": [{}]}}"#, policies.join(","));
    let config = PluginConfig::from_json(text.as_bytes()).unwrap_or_else(|problems| panic!("{problems}"));
    let mut problems = Problems::new();
    let authorizer = Authorizer::compile(&config.resources, proxy, &mut problems);
    (authorizer, problems)
}

fn authorizer(policies: &[String]) -> Authorizer {
    let (authorizer, problems) = compile(policies, &orders());
    assert!(!problems.has_errors(), "{problems}");
    authorizer
}

#[derive(Clone, Default)]
struct Request {
    headers: Vec<(&'static str, Vec<u8>)>,
    attributes: BTreeMap<Attribute, Vec<u8>>,
}

impl Attributes for Request {
    fn attribute(&self, attribute: Attribute) -> Option<Vec<u8>> {
        self.attributes.get(&attribute).cloned()
    }
}

impl Request {
    /// `GET` from a plaintext peer at 10.0.0.9.
    fn get(path: &str) -> Self {
        Self::default()
            .header(":method", "GET")
            .header(":authority", "orders.shop")
            .header(":path", path)
            .with(Attribute::DirectRemoteIp, "10.0.0.9")
            .with(Attribute::RemoteIp, "192.0.2.7")
            .with(Attribute::DestinationIp, "10.0.0.1")
            .with(Attribute::DestinationPort, "8080")
    }

    fn header(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        if name.starts_with(':') {
            self = self.without(name);
        }
        self.headers.push((name, value.as_ref().to_vec()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self
    }

    fn with(mut self, attribute: Attribute, value: impl AsRef<[u8]>) -> Self {
        self.attributes.insert(attribute, value.as_ref().to_vec());
        self
    }

    fn lacking(mut self, attribute: Attribute) -> Self {
        self.attributes.remove(&attribute);
        self
    }

    fn peer(self, principal: &str) -> Self {
        self.with(Attribute::PeerUriSans, format!("spiffe://{principal}"))
    }

    fn token(self, payload: &str) -> Self {
        self.with(Attribute::JwtPayload, payload)
    }

    fn see<T>(&self, look: impl FnOnce(&RequestView<'_>) -> T) -> T {
        let buffer = HeaderMap::write(&self.headers);
        let headers = HeaderMap::parse(&buffer).unwrap();
        look(&RequestView::new(&headers, self))
    }

    fn passes(&self, authorizer: &Authorizer) -> bool {
        self.see(|view| authorizer.authorize(view, &mut ()).is_allowed())
    }

    /// Whether a rule matches: asked as ALLOW and as DENY, which must agree when nothing is open.
    fn matches(&self, rule: &str) -> bool {
        let (allow, deny) = self.decisions(rule);
        assert_eq!(allow, !deny, "{rule}");
        allow
    }

    /// Whether an ALLOW policy with this rule, and whether a DENY policy with it, lets the request pass.
    fn decisions(&self, rule: &str) -> (bool, bool) {
        let decide = |action: &str| {
            let spec = format!(r#"{{"action": "{action}", "rules": [{rule}]}}"#);
            self.passes(&authorizer(&[policy("p", &spec)]))
        };
        (decide("ALLOW"), decide("DENY"))
    }
}

fn source(field: &str, values: &str) -> String {
    format!(r#"{{"from": [{{"source": {{"{field}": {values}}}}}]}}"#)
}

fn operation(field: &str, values: &str) -> String {
    format!(r#"{{"to": [{{"operation": {{"{field}": {values}}}}}]}}"#)
}

fn when(key: &str, field: &str, values: &str) -> String {
    format!(r#"{{"when": [{{"key": "{key}", "{field}": {values}}}]}}"#)
}

const ALLOW_GET: &str = r#"{"rules": [{"to": [{"operation": {"methods": ["GET"]}}]}]}"#;
const DENY_ADMIN: &str = r#"{"action": "DENY", "rules": [{"to": [{"operation": {"paths": ["/admin"]}}]}]}"#;

#[test]
fn deny_goes_first_and_any_allow_policy_denies_the_rest() {
    let allow = || policy("allow", ALLOW_GET);
    let deny = || policy("deny", DENY_ADMIN);
    let nothing = || policy("nothing", "{}");
    let dry = || policy_in("shop", "dry", DRY, ALLOW_GET);
    let audit = || policy("audit", r#"{"action": "AUDIT"}"#);
    let post = || Request::get("/").header(":method", "POST");
    for (name, policies, request, passes) in [
        ("none", vec![], Request::get("/"), true),
        ("deny only, matched", vec![deny()], Request::get("/admin"), false),
        ("deny only, not matched", vec![deny()], Request::get("/"), true),
        ("allow only, matched", vec![allow()], Request::get("/"), true),
        ("allow only, not matched", vec![allow()], post(), false),
        ("both, both matched", vec![allow(), deny()], Request::get("/admin"), false),
        ("both, allow matched", vec![allow(), deny()], Request::get("/"), true),
        ("both, none matched", vec![allow(), deny()], post(), false),
        ("dry run of allow", vec![dry()], post(), true),
        ("allow nothing", vec![nothing()], Request::get("/"), false),
        ("allow nothing beside another", vec![nothing(), allow()], Request::get("/"), true),
        ("empty rules", vec![policy("p", r#"{"rules": []}"#)], Request::get("/"), false),
        ("null rules", vec![policy("p", r#"{"rules": null}"#)], Request::get("/"), false),
        ("a rule that takes all", vec![policy("p", r#"{"rules": [{}]}"#)], post(), true),
        ("deny all", vec![policy("p", r#"{"action": "DENY", "rules": [{}]}"#)], Request::get("/"), false),
        ("audit", vec![audit()], Request::get("/"), true),
        ("audit all", vec![policy("p", r#"{"action": "AUDIT", "rules": [{}]}"#)], post(), true),
        (
            "root allow and own",
            vec![policy_in("istio-system", "r", "{}", "{}"), allow()],
            Request::get("/"),
            true,
        ),
        (
            "root deny",
            vec![policy_in("istio-system", "r", "{}", DENY_ADMIN), allow()],
            Request::get("/admin"),
            false,
        ),
        ("another namespace", vec![policy_in("other", "p", "{}", "{}")], Request::get("/"), true),
    ] {
        assert_eq!(request.passes(&authorizer(&policies)), passes, "{name}");
    }
}

#[test]
fn a_selector_chooses_workloads() {
    let scoped = |labels: &str| {
        let spec = format!(r#"{{"selector": {{"matchLabels": {labels}}}}}"#);
        authorizer(&[policy("p", &spec)])
    };
    assert!(!Request::get("/").passes(&scoped(r#"{"app": "orders"}"#)));
    assert!(Request::get("/").passes(&scoped(r#"{"app": "web"}"#)));
    assert!(Request::get("/").passes(&scoped(r#"{"app": "orders", "v": "1"}"#)));
    assert!(!Request::get("/").passes(&scoped("{}")));
    let root = r#"{"selector": {"matchLabels": {"app": "web"}}}"#;
    assert!(authorizer(&[policy_in("istio-system", "p", "{}", root)]).is_empty());
}

#[test]
fn policies_attached_to_objects_are_not_for_ordinary_workloads() {
    let attached = |name: &str| {
        let spec = format!(
            r#"{{"targetRefs": [{{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "{name}"}}]}}"#
        );
        policy("p", &spec)
    };
    assert!(authorizer(&[attached("edge")]).is_empty());
    let mut proxy = orders();
    proxy.labels =
        Some(BTreeMap::from([("gateway.networking.k8s.io/gateway-name".to_owned(), "edge".to_owned())]));
    assert!(!compile(&[attached("edge")], &proxy).0.is_empty());
    assert!(compile(&[attached("other")], &proxy).0.is_empty());
}

#[test]
fn a_selector_needs_known_labels_only_where_it_could_apply() {
    let proxy = ProxyContext { labels: None, ..orders() };
    let selecting = r#"{"selector": {"matchLabels": {"app": "orders"}}}"#;
    let (_, problems) = compile(&[policy("p", selecting)], &proxy);
    assert_eq!(
        problems.to_string(),
        "items[0].spec.selector: whether the selector selects this workload cannot be told: its labels are not known \
         (give the workload its `labels`, `{}` when it has none)\n"
    );
    assert!(compile(&[policy_in("other", "p", "{}", selecting), policy("q", "{}")], &proxy).1.is_empty());
}

#[test]
fn the_first_name_by_its_bytes_determines() {
    let rules: Vec<&str> = vec!["{}"; 11];
    let all = format!(r#"{{"action": "DENY", "rules": [{}]}}"#, rules.join(","));
    let tenth = format!(
        r#"{{"action": "DENY", "rules": [{}, {{}}, {{}}]}}"#,
        [r#"{"to": [{"operation": {"methods": ["PUT"]}}]}"#; 9].join(",")
    );
    for (policies, name) in [
        (vec![policy("b", &all), policy("a", &all)], "ns[shop]-policy[a]-rule[0]"),
        (
            vec![policy("a", &all), policy_in("istio-system", "z", "{}", &all)],
            "ns[istio-system]-policy[z]-rule[0]",
        ),
        // `rule[10]` stands before `rule[9]`.
        (vec![policy("a", &tenth)], "ns[shop]-policy[a]-rule[10]"),
        (vec![policy("a b", &all)], "ns[shop]-policy[a b]-rule[0]"),
    ] {
        let authorizer = authorizer(&policies);
        let reply = Request::get("/").see(|view| {
            let verdict = authorizer.authorize(view, &mut ());
            assert_eq!(verdict.determining().map(ToString::to_string).as_deref(), Some(name));
            verdict.local_reply().unwrap()
        });
        let details = format!("rbac_access_denied_matched_policy[{}]", name.replace(' ', "_"));
        assert_eq!(reply.details, details);
    }
}

#[test]
fn a_denial_answers_as_envoy_does() {
    let authorizer = authorizer(&[policy("p", "{}")]);
    Request::get("/").see(|view| {
        let verdict = authorizer.authorize(view, &mut ());
        assert_eq!(
            verdict.local_reply(),
            Some(crate::effect::LocalReply {
                status: 403,
                headers: vec![("content-type".to_owned(), b"text/plain".to_vec())],
                body: b"RBAC: access denied".to_vec(),
                grpc_status: Some(7),
                details: "rbac_access_denied_matched_policy[none]".to_owned(),
            })
        );
        assert_eq!(Authorizer::default().authorize(view, &mut ()).local_reply(), None);
    });
}

#[test]
fn audit_and_dry_runs_are_recorded_beside_the_verdict() {
    let authorizer = authorizer(&[
        policy("audit", r#"{"action": "AUDIT", "rules": [{}]}"#),
        policy_in("shop", "dry-deny", DRY, DENY_ADMIN),
        policy_in("shop", "dry-allow", DRY, ALLOW_GET),
    ]);
    let text = |rule: Option<&RuleId>| rule.map(ToString::to_string);
    Request::get("/admin").see(|view| {
        let verdict = authorizer.authorize(view, &mut ());
        assert!(verdict.is_allowed());
        assert_eq!(text(verdict.determining()), None);
        assert_eq!(text(verdict.audited()).as_deref(), Some("ns[shop]-policy[audit]-rule[0]"));
        let deny = verdict.shadow_deny().unwrap();
        assert_eq!(
            (deny.allowed, text(deny.rule).as_deref()),
            (false, Some("ns[shop]-policy[dry-deny]-rule[0]"))
        );
        let allow = verdict.shadow_allow().unwrap();
        assert_eq!(
            (allow.allowed, text(allow.rule).as_deref()),
            (true, Some("ns[shop]-policy[dry-allow]-rule[0]"))
        );
    });
    Request::get("/").header(":method", "POST").see(|view| {
        let verdict = authorizer.authorize(view, &mut ());
        assert!(verdict.is_allowed());
        assert_eq!(verdict.shadow_deny(), Some(Shadow { allowed: true, rule: None }));
        assert_eq!(verdict.shadow_allow(), Some(Shadow { allowed: false, rule: None }));
    });
}

#[test]
fn rules_are_in_the_order_of_their_names_as_texts() {
    let names = ["a", "a-", "a]", "a]-policy[", "ab", "b", "", "B", "a]-rule[1"];
    let mut ids = Vec::new();
    for namespace in names {
        for name in names {
            for index in [0, 1, 2, 9, 10, 11, 100] {
                let policy = PolicyId {
                    namespace: namespace.to_owned(),
                    name: name.to_owned(),
                    action: Action::Allow,
                    dry_run: false,
                    provider: None,
                };
                ids.push(RuleId { policy: Arc::new(policy), index });
            }
        }
    }
    for a in &ids {
        for b in &ids {
            assert_eq!(a.compare_names(b), a.to_string().cmp(&b.to_string()), "{a} {b}");
        }
    }
}
