//! Why a rule did not match.

use super::*;

/// Writes down all that it is told.
#[derive(Default)]
struct Recorder(Vec<String>);

impl AuthzObserver for Recorder {
    fn explains(&self) -> bool {
        true
    }

    fn matched(&mut self, rule: &RuleId) {
        self.0.push(format!("{rule}: matched"));
    }

    fn unmatched(&mut self, rule: &RuleId, unmet: &[Unmet]) {
        for Unmet { field, attribute, wanted, found } in unmet {
            self.0.push(format!("{rule}: {field}: {attribute}: wanted {wanted}, found {found}"));
        }
    }
}

const FUSSY: &str = r#"{"rules": [
    {"from": [{"source": {"principals": ["a/*"], "notIpBlocks": ["10.0.0.0/8"]}}, {"source": {"namespaces": ["x"]}}],
     "to": [{"operation": {"methods": ["GET"]}}, {"operation": {"methods": ["PUT"]}}],
     "when": [{"key": "request.headers[X-Env]", "values": ["dev", "test*"]},
              {"key": "request.auth.claims[a][b]", "notValues": ["z"]}]},
    {"to": [{"operation": {"methods": ["GET"], "paths": ["/a/{*}"], "ports": ["80"]}}]}]}"#;

#[test]
fn an_observer_is_told_every_reason() {
    let authorizer = authorizer(&[policy("deny", DENY_ADMIN), policy("p", FUSSY)]);
    let mut recorder = Recorder::default();
    let request = Request::get("/admin").header("x-env", b"a\"\xff").token(r#"{"a": {"b": ["z", 1]}}"#);
    let verdict = request.see(|view| authorizer.authorize(view, &mut recorder));
    assert_eq!(
        verdict.determining().map(ToString::to_string).as_deref(),
        Some("ns[shop]-policy[deny]-rule[0]")
    );
    assert_eq!(
        recorder.0,
        [
            "ns[shop]-policy[deny]-rule[0]: matched",
            "ns[shop]-policy[p]-rule[0]: from[0].source.principals: source.principal: wanted one of `a/*`, \
             found no peer identity",
            "ns[shop]-policy[p]-rule[0]: from[0].source.notIpBlocks: source.ip: wanted none of `10.0.0.0/8`, \
             found `10.0.0.9`",
            "ns[shop]-policy[p]-rule[0]: from[1].source.namespaces: source.namespace: wanted one of `x`, \
             found no peer identity",
            "ns[shop]-policy[p]-rule[0]: when[0].values: request.headers[x-env]: wanted one of `dev`, `test*`, \
             found `a\\\"\\xff`",
            "ns[shop]-policy[p]-rule[0]: when[1].notValues: request.auth.claims[a][b]: wanted none of `z`, \
             found a list of `z`, a number",
            "ns[shop]-policy[p]-rule[1]: to[0].operation.ports: destination.port: wanted one of `80`, found `8080`",
            "ns[shop]-policy[p]-rule[1]: to[0].operation.paths: request.path: wanted one of `/a/{*}`, found `/admin`",
        ]
    );
}

#[test]
fn the_nearest_miss_lacks_least() {
    let authorizer = authorizer(&[policy("p", FUSSY)]);
    let fields = |request: &Request, at_most: usize| {
        request.see(|view| {
            let miss = authorizer.nearest_miss(view, at_most)?;
            let fields: Vec<String> = miss.fields.iter().map(ToString::to_string).collect();
            Some(format!("{} {}", miss.rule.index(), fields.join(" ")))
        })
    };
    let request = Request::get("/x");
    assert_eq!(fields(&request, 9).as_deref(), Some("0 from[1].source.namespaces when[0].values"));
    let request = Request::get("/a/x");
    assert_eq!(fields(&request, 9).as_deref(), Some("1 to[0].operation.ports"));
    assert_eq!(fields(&request, 1).as_deref(), Some("0 from[1].source.namespaces when[0].values"));
    assert_eq!(fields(&request, 0), None);
}

#[test]
fn the_nearest_of_many_is_looked_for_where_the_index_finds_some() {
    let rules: Vec<String> = (0..100)
        .map(|rule| {
            format!(r#"{{"to": [{{"operation": {{"methods": ["PUT"], "paths": ["/{rule}/*"], "ports": ["80"]}}}}]}}"#)
        })
        .collect();
    let authorizer = authorizer(&[policy("p", &format!(r#"{{"rules": [{}]}}"#, rules.join(",")))]);
    let miss = |path: &str| {
        Request::get(path).see(|view| authorizer.nearest_miss(view, 4).map(|miss| miss.rule.index()))
    };
    assert_eq!(miss("/90/x"), Some(90));
    assert_eq!(miss("/x"), Some(0));
}
