//! RequestAuthentication between two sidecars: the caller's certificate and its user's token are judged together.

#![expect(clippy::unwrap_used, reason = "the functions beside the tests belong to them")]

use mesh_policy_compiler::{AccessLog, Modules, Options, ProxyChoice, Sources, WorkloadChoice, compile};
use mesh_policy_integration::{
    Error, Result,
    certs::Authority,
    client::{Client, Request, Response},
    envoy::{self, Envoy},
    modules::Module,
    ports,
    tokens::Issuer,
    upstream::Upstream,
};
use serde_json::{Value, json};
use std::net::IpAddr;

/// The backend verifies tokens; some of its paths want one, some the frontend, some both.
fn resources(issuer: &Issuer, port: u16) -> String {
    format!(
        r#"
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {{name: backend, namespace: my-app}}
spec:
  selector: {{matchLabels: {{app: backend}}}}
  jwtRules:
  - {{issuer: "{}", jwks: '{}', audiences: [backend], outputClaimToHeaders: [{{header: x-role, claim: role}}]}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: backend, namespace: my-app}}
spec:
  selector: {{matchLabels: {{app: backend}}}}
  rules:
  - from: [{{source: {{principals: [cluster.local/ns/my-app/sa/frontend], requestPrincipals: ["https://id.io/alice"]}}}}]
    to: [{{operation: {{paths: [/both]}}}}]
  - from: [{{source: {{principals: [cluster.local/ns/my-app/sa/other], requestPrincipals: ["https://id.io/alice"]}}}}]
    to: [{{operation: {{paths: [/other]}}}}]
  - to: [{{operation: {{paths: [/claim]}}}}]
    when: [{{key: "request.auth.claims[role]", values: [admin]}}]
  - to: [{{operation: {{paths: [/open]}}}}]
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: strict, namespace: my-app}}
spec: {{mtls: {{mode: STRICT}}}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: backend, namespace: my-app}}
spec:
  hosts: [backend.my-app.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  workloadSelector: {{labels: {{app: backend}}}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: backend-v1, namespace: my-app}}
spec: {{address: 127.0.0.1, labels: {{app: backend}}, serviceAccount: backend, ports: {{http: {port}}}}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: frontend-v1, namespace: my-app}}
spec: {{address: 127.0.0.1, labels: {{app: frontend}}, serviceAccount: frontend}}
"#,
        issuer.name(),
        issuer.keys()
    )
}

struct World {
    frontend: Envoy,
    _backend: Envoy,
    _app: Upstream,
}

impl World {
    fn start(issuer: &Issuer) -> Result<Self> {
        let authority = Authority::new("mesh")?;
        let certificates = tempfile::tempdir().unwrap();
        authority.lay_out(certificates.path(), &[("my-app", "frontend"), ("my-app", "backend")])?;
        let app = Upstream::start("backend")?;
        let port = ports::free()?;
        let options = Options {
            modules: Modules::Fused(Module::Policy.path()?),
            listen_address: IpAddr::from([127, 0, 0, 1]),
            admin: None,
            access_log: AccessLog::Off,
            certificates: Some(certificates.path().to_owned()),
            app_ports: [(port, app.address().port())].into(),
            outbound_port: 0,
            ..Options::default()
        };
        let sources = Sources::from_text("mesh.yaml", &resources(issuer, port));
        let run = |name: &str| {
            let choice = ProxyChoice::Workload(WorkloadChoice {
                namespace: "my-app".to_owned(),
                name: name.to_owned(),
                ..WorkloadChoice::default()
            });
            let compiled =
                compile(&sources, &choice, &options).map_err(|refusal| Error::new(refusal.to_string()))?;
            Envoy::start(&compiled.bootstrap, &envoy::Options::default())
        };
        Ok(Self { frontend: run("frontend-v1")?, _backend: run("backend-v1")?, _app: app })
    }

    /// What the frontend's application gets that asks the backend, for a user with this token.
    fn ask(&self, path: &str, token: Option<&str>) -> Result<Response> {
        let request = Request::get(path).host("backend").header("x-role", "forged");
        let request = match token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        };
        Client::new(self.frontend.listener("127.0.0.1_0")?).send(&request)
    }
}

#[test]
fn a_sidecar_judges_token_and_caller_together() -> Result<()> {
    let (issuer, stranger) = (Issuer::new("https://id.io")?, Issuer::new("https://id.io")?);
    let world = World::start(&issuer)?;
    let of = |issuer: &Issuer, claims: Value| issuer.token(&claims);
    let alice = of(&issuer, json!({ "sub": "alice", "aud": "backend", "role": "admin" }))?;
    let bob = of(&issuer, json!({ "sub": "bob", "aud": "backend", "role": ["user"] }))?;
    let elsewhere = of(&issuer, json!({ "sub": "alice", "aud": "other", "role": "admin" }))?;
    let forged = of(&stranger, json!({ "sub": "alice", "aud": "backend", "role": "admin" }))?;
    let expired = of(&issuer, json!({ "sub": "alice", "aud": "backend", "exp": 1_000_000_000 }))?;
    let users = [None, Some(&alice), Some(&bob), Some(&elsewhere), Some(&forged), Some(&expired)]
        .map(|token| token.map(String::as_str));
    let mut found = Vec::new();
    for path in ["/both", "/other", "/claim", "/open"] {
        let mut statuses = Vec::new();
        for token in users {
            statuses.push(world.ask(path, token)?.status);
        }
        found.push((path, statuses));
    }
    let expected = [
        ("/both", vec![403, 200, 403, 403, 401, 401]),
        ("/other", vec![403, 403, 403, 403, 401, 401]),
        ("/claim", vec![403, 200, 403, 403, 401, 401]),
        ("/open", vec![200, 200, 200, 403, 401, 401]),
    ];
    assert_eq!(found, expected);
    // The token stays at the sidecar; what it proves takes the place of what the caller says.
    let echo = world.ask("/claim", Some(&alice))?.echo()?;
    assert_eq!(echo.header("authorization"), None);
    assert_eq!(echo.header("x-role").as_deref(), Some("admin"));
    let chain = echo.header("x-forwarded-client-cert").unwrap();
    assert!(chain.contains("URI=spiffe://cluster.local/ns/my-app/sa/frontend"), "{chain}");
    Ok(())
}
