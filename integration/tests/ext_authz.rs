//! CUSTOM policies at a compiled gateway: whom Envoy asks, about what, and what becomes of the answer. Both engines.

#![expect(clippy::unwrap_used, reason = "the functions beside the tests belong to them")]

use std::net::TcpListener;

use mesh_policy_compiler::{Engine, Modules, Options};
use mesh_policy_integration::{
    client::{Request, Response},
    edge::{Edge, policy},
    modules::Module,
    upstream::{Received, Upstream},
};

const ENGINES: [Engine; 2] = [Engine::Wasm, Engine::Native];

fn options(engine: Engine) -> Options {
    Options { engine, ..Options::default() }
}

/// A service `HOST` on port 9000, and the instance behind it.
fn service(host: &str, port: u16, protocol: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {host}, namespace: istio-system}}
spec:
  hosts: [{host}]
  ports: [{{number: 9000, name: check, protocol: {protocol}, targetPort: {port}}}]
  resolution: STATIC
  endpoints: [{{address: 127.0.0.1}}]
---
"
    )
}

fn ask_about(path: &str) -> String {
    policy(
        "ask",
        &format!(
            "{{action: CUSTOM, provider: {{name: opa}}, rules: [{{to: [{{operation: {{paths: [\"{path}\"]}}}}]}}]}}"
        ),
    )
}

/// The provider `opa` that is asked over HTTP.
fn over_http(fields: &str) -> String {
    format!(
        "extensionProviders: [{{name: opa, envoyExtAuthzHttp: {{service: istio-system/opa.test, port: 9000, {fields}}}}}]"
    )
}

/// What the echo server goes by when it is the provider.
const STEERED: &str = "includeRequestHeadersInCheck: [\"x-echo-*\"]";

struct Asking {
    edge: Edge,
    provider: Upstream,
}

impl Asking {
    fn start(engine: Engine, policies: &str, fields: &str) -> Self {
        Self::start_with(options(engine), policies, fields)
    }

    fn start_with(options: Options, policies: &str, fields: &str) -> Self {
        let answers =
            Upstream::builder("opa").response_header("x-told", "yes").response_header("x-secret", "no");
        let provider = answers.start().unwrap();
        let service = service("opa.test", provider.address().port(), "HTTP");
        let edge = Edge::start_in_mesh(&format!("{service}{policies}"), &over_http(fields), options).unwrap();
        Self { edge, provider }
    }

    fn get(&self, path: &str) -> Response {
        self.send(&Request::get(path))
    }

    fn send(&self, request: &Request) -> Response {
        self.edge.send(&request.clone().host("echo.test")).unwrap()
    }

    /// What the provider was asked since the last time.
    fn asked(&self) -> Vec<String> {
        let paths = self.provider.clear();
        paths.iter().map(|received| String::from_utf8(received.target.clone()).unwrap()).collect()
    }
}

#[test]
fn only_requests_that_match_are_asked_about_and_the_answer_counts() {
    for engine in ENGINES {
        let asking = Asking::start(engine, &ask_about("/admin*"), STEERED);
        assert_eq!(asking.get("/").status, 200, "{engine:?}");
        assert_eq!(asking.asked(), [""; 0]);
        let allowed = asking.get("/admin/x?y=1");
        assert_eq!((allowed.status, allowed.echo().unwrap().instance.as_str()), (200, "echo"));
        assert_eq!(asking.asked(), ["/admin/x?y=1"]);
        let before = asking.edge.upstream.count();
        let denied = asking.send(
            &Request::get("/admin")
                .header("x-echo-status", "401")
                .header("x-echo-header", "www-authenticate: Basic"),
        );
        assert_eq!(denied.status, 401);
        assert_eq!(denied.header("www-authenticate").as_deref(), Some("Basic"));
        assert_eq!(asking.edge.upstream.count(), before);
    }
}

/// The header by which the first filter has Envoy ask is nobody else's: it neither skips the question nor raises it.
#[test]
fn a_forged_header_neither_skips_nor_raises_the_question() {
    let separate = Modules::Separate {
        authz: Module::Authz.path().unwrap(),
        headers: Module::Headers.path().unwrap(),
        fault: Module::Fault.path().unwrap(),
        router: Module::Router.path().unwrap(),
    };
    let wasm = options(Engine::Wasm);
    for options in [wasm.clone(), Options { modules: separate, ..wasm }, options(Engine::Native)] {
        let asking =
            Asking::start_with(options, &ask_about("/admin*"), "includeRequestHeadersInCheck: [\"*\"]");
        for forged in ["opa", "", "other", "opa\u{e9}"] {
            for lines in 1..=2 {
                let forge = |path: &str| {
                    let request = Request::get(path).header("x-mesh-policy-ext-authz", forged);
                    if lines == 2 { request.header("X-Mesh-Policy-Ext-Authz", "other") } else { request }
                };
                let passed = asking.send(&forge("/free"));
                assert_eq!(passed.status, 200, "{forged}");
                assert_eq!(asking.asked(), [""; 0], "{forged}");
                let asked = asking.send(&forge("/admin"));
                assert_eq!(asked.status, 200);
                assert_eq!(asking.provider.count(), 1, "{forged}");
                let denied = asking.send(&forge("/admin").header("x-echo-status", "403"));
                assert_eq!(denied.status, 403, "{forged}");
                asking.provider.clear();
            }
        }
    }
}

/// The header is between the filters: neither the provider nor the upstream sees it.
#[test]
fn nobody_sees_how_the_filters_talk() {
    let asking = Asking::start(Engine::Wasm, &ask_about("/admin*"), "includeRequestHeadersInCheck: [\"*\"]");
    let echo = asking.get("/admin").echo().unwrap();
    let ours = |name: &[u8]| name.starts_with(b"x-mesh-policy");
    assert!(!echo.headers.0.iter().any(|(name, _)| ours(name)), "{echo:?}");
    for received in asking.provider.requests() {
        assert!(!received.headers.0.iter().any(|(name, _)| ours(name)), "{received:?}");
    }
}

#[test]
fn deny_and_allow_go_on_behind_the_provider_and_see_what_it_added() {
    let more = policy(
        "no-guests",
        "{action: DENY, rules: [{when: [{key: \"request.headers[x-role]\", values: [guest]}]}]}",
    );
    let fields = "includeRequestHeadersInCheck: [\"x-echo-*\"], headersToUpstreamOnAllow: [\"x-ro*\"], \
                  headersToDownstreamOnAllow: [x-told]";
    for engine in ENGINES {
        let asking = Asking::start(engine, &format!("{}{more}", ask_about("/admin*")), fields);
        let with = |role: &str| {
            asking.send(&Request::get("/admin").header("x-echo-header", format!("x-role: {role}")))
        };
        let denied = with("guest");
        assert_eq!((denied.status, denied.text().as_str()), (403, "RBAC: access denied"), "{engine:?}");
        let allowed = with("admin");
        assert_eq!(allowed.status, 200);
        let echo = allowed.echo().unwrap();
        assert_eq!(echo.header("x-role").as_deref(), Some("admin"));
        assert_eq!(echo.header("x-secret"), None);
        assert_eq!(allowed.header("x-told").as_deref(), Some("yes"));
        assert_eq!(allowed.header("x-secret"), None);
    }
}

#[test]
fn the_provider_is_asked_as_it_wants_to_be() {
    let fields = "pathPrefix: /check, includeAdditionalHeadersInCheck: {x-mesh: ours}, \
                  includeRequestHeadersInCheck: [x-user], \
                  includeRequestBodyInCheck: {maxRequestBytes: 4, allowPartialMessage: true}";
    for engine in ENGINES {
        let asking = Asking::start(engine, &ask_about("/admin*"), fields);
        let request = Request::new("POST", "/admin")
            .header("x-user", "eve")
            .header("x-other", "no")
            .header("authorization", "Basic x")
            .body("12345678");
        assert_eq!(asking.send(&request).echo().unwrap().body_length, 8, "{engine:?}");
        let [received] = <[Received; 1]>::try_from(asking.provider.clear()).unwrap();
        assert_eq!(received.target, b"/check/admin");
        assert_eq!(received.method, "POST");
        assert_eq!(received.header("x-mesh").as_deref(), Some("ours"));
        assert_eq!(received.header("x-user").as_deref(), Some("eve"));
        assert_eq!(received.header("x-other"), None);
        assert_eq!(received.header("authorization").as_deref(), Some("Basic x"));
        assert_eq!(received.body, b"1234");
    }
}

#[test]
fn a_provider_that_does_not_answer_denies_unless_it_fails_open() {
    let nobody = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for engine in ENGINES {
        for (fields, status) in
            [("timeout: 1s", 403), ("statusOnError: \"503\"", 503), ("failOpen: true", 200)]
        {
            let policies = format!("{}{}", service("opa.test", nobody(), "HTTP"), ask_about("/admin*"));
            let edge = Edge::start_in_mesh(&policies, &over_http(fields), options(engine)).unwrap();
            let send = |path: &str| edge.send(&Request::get(path).host("echo.test")).unwrap();
            assert_eq!(send("/admin").status, status, "{engine:?}, {fields}");
            assert_eq!(send("/").status, 200);
        }
        let slow = Asking::start(engine, &ask_about("/admin*"), &format!("{STEERED}, timeout: 0.1s"));
        let response = slow.send(&Request::get("/admin").header("x-echo-delay-ms", "2000"));
        assert_eq!(response.status, 403, "{engine:?}");
        assert!(response.elapsed.as_millis() < 1500, "{:?}", response.elapsed);
    }
}

#[test]
fn what_nobody_can_be_asked_about_is_denied_and_the_rest_passes() {
    let two = format!(
        "{}{}",
        ask_about("/admin*"),
        policy(
            "other",
            "{action: CUSTOM, provider: {name: iam}, rules: [{to: [{operation: {paths: [/other]}}]}]}"
        )
    );
    for engine in ENGINES {
        // No such provider; its service is not known; two of them.
        for (policies, mesh) in [
            (ask_about("/admin*"), "{}".to_owned()),
            (ask_about("/admin*"), over_http("")),
            (two.clone(), "extensionProviders: []".to_owned()),
        ] {
            let edge = Edge::start_in_mesh(&policies, &mesh, options(engine)).unwrap();
            let send = |path: &str| edge.send(&Request::get(path).host("echo.test")).unwrap();
            let denied = send("/admin");
            assert_eq!(
                (denied.status, denied.text().as_str()),
                (403, "RBAC: access denied"),
                "{engine:?} {mesh}"
            );
            assert_eq!(send("/").status, 200);
            let details =
                edge.access_log(2).unwrap()[0]["response_code_details"].as_str().unwrap().to_owned();
            assert_eq!(
                details,
                "rbac_access_denied_matched_policy[ns[istio-system]-policy[ask]-rule[0]-deny-due-to-bad-CUSTOM-action]"
            );
        }
    }
}

#[test]
fn retries_do_not_ask_again_and_the_log_tells_the_rule() {
    let retried = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: retried, namespace: istio-system}
spec:
  hosts: [retried.test]
  gateways: [edge]
  http: [{route: [{destination: {host: echo.test}}], retries: {attempts: 2, retryOn: 5xx}}]
---
";
    let asking = Asking::start(Engine::Wasm, &format!("{retried}{}", ask_about("/admin*")), "");
    let request = Request::get("/admin").host("retried.test").header("x-echo-fail-first", "1");
    assert_eq!(asking.edge.send(&request).unwrap().status, 200);
    assert_eq!(asking.edge.upstream.count_path("/admin"), 2);
    assert_eq!(asking.asked().len(), 1);
    let log = asking.edge.access_log(1).unwrap();
    assert_eq!(log[0]["authz_custom"], "ns[istio-system]-policy[ask]-rule[0]");
}

/// A field of a protobuf message: its number, wire type 2.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(content.len()).unwrap()], content].concat()
}

/// A field that is a number below 128 * 128.
fn number(number: u8, value: u16) -> Vec<u8> {
    let low = u8::try_from(value & 0x7f).unwrap();
    let high = u8::try_from(value >> 7).unwrap();
    vec![number << 3, low | 0x80, high]
}

/// Answers a `CheckRequest`: denied with 418 where the request has `x-answer: no`, else allowed with a header more.
fn check(received: &Received) -> Vec<u8> {
    assert_eq!(received.path(), b"/envoy.service.auth.v3.Authorization/Check");
    let header = |name: &[u8], value: &[u8]| field(1, &[field(1, name), field(2, value)].concat());
    let says = |text: &[u8]| received.body.windows(text.len()).any(|window| window == text);
    // An entry of the map of headers.
    if says(&[field(1, b"x-answer"), field(2, b"no")].concat()) {
        const PERMISSION_DENIED: u16 = 7;
        let status = number(1, PERMISSION_DENIED);
        let teapot = field(1, &number(1, 418));
        let denied = [teapot, field(2, &header(b"x-why", b"because")), field(3, b"not today")].concat();
        return [field(1, &status), field(2, &denied)].concat();
    }
    [field(1, &number(1, 0)), field(3, &field(2, &header(b"x-user", b"eve")))].concat()
}

fn over_grpc(fields: &str) -> String {
    format!(
        "extensionProviders: [{{name: opa, envoyExtAuthzGrpc: {{service: opa.test, port: 9000, {fields}}}}}]"
    )
}

#[test]
fn a_provider_is_asked_over_grpc() {
    for engine in ENGINES {
        let provider = Upstream::builder("opa").grpc_message(check).start().unwrap();
        let service = service("opa.test", provider.address().port(), "GRPC");
        let policies = format!("{service}{}", ask_about("/admin*"));
        let mesh = over_grpc("timeout: 5s, includeRequestBodyInCheck: {maxRequestBytes: 8}");
        let edge = Edge::start_in_mesh(&policies, &mesh, options(engine)).unwrap();
        let send = |request: Request| edge.send(&request.host("echo.test")).unwrap();
        assert_eq!(send(Request::get("/")).status, 200, "{engine:?}");
        assert_eq!(provider.count(), 0);
        let allowed = send(Request::get("/admin").header("x-mesh-policy-ext-authz", "forged"));
        assert_eq!(allowed.echo().unwrap().header("x-user").as_deref(), Some("eve"));
        let [asked] = <[Received; 1]>::try_from(provider.clear()).unwrap();
        assert_eq!(asked.authority, b"opa.test");
        assert!(!asked.body.windows(7).any(|window| window == b"forged"), "{asked:?}");
        let denied = send(Request::get("/admin").header("x-answer", "no"));
        assert_eq!((denied.status, denied.text().as_str()), (418, "not today"));
        assert_eq!(denied.header("x-why").as_deref(), Some("because"));
        let too_long = send(Request::new("POST", "/admin").body("0123456789"));
        assert_eq!(too_long.status, 413);
    }
}
