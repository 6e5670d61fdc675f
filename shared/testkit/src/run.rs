//! A case run over the core alone: what a filter would do, on a plain list of headers.

use crate::corpus::{self, Case, Group, HeaderLine, Refusal, Request};
use crate::outcome::{Outcome, Upstream, compare};
use mesh_policy_core::authz::{Authorizer, ExternalAuthorization};
use mesh_policy_core::control;
use mesh_policy_core::effect::{HeaderEdit, LocalReply, Random, SplitMix64};
use mesh_policy_core::proxy::ProxyContext;
use mesh_policy_core::request::{Attribute, Attributes, HeaderMap, RequestView};
use mesh_policy_core::route::{self, RouteTable, Selection};
use mesh_policy_istio::problem::Problems;
use mesh_policy_istio::workload::{PluginConfig, Workload};
use std::fmt::Write as _;

/// The policy of one group, compiled.
pub struct Policy {
    routes: RouteTable,
    /// What judges CUSTOM policies, in front of everything else.
    before: Authorizer,
    authorizer: Authorizer,
}

/// The workload of groups that name none: the gateway `default/edge`.
#[must_use]
pub fn gateway_workload() -> Workload {
    Workload {
        namespace: Some("istio-system".to_owned()),
        labels: Some([("istio".to_owned(), "ingressgateway".to_owned())].into()),
        gateways: vec!["default/edge".to_owned()],
        port: Some(80),
        ..Workload::default()
    }
}

impl Policy {
    /// Compiles the resources of a group.
    ///
    /// # Errors
    /// One line for each problem.
    pub fn compile(group: &Group) -> Result<Self, String> {
        let mut problems = Problems::new();
        let workload = group.workload.clone().unwrap_or_else(gateway_workload);
        let proxy = ProxyContext::compile(&workload, &mut problems);
        let resources = &group.resources.resources;
        let routes = RouteTable::compile(resources, &proxy, &mut problems);
        let behind = ProxyContext { ext_authz: ExternalAuthorization::After, ..proxy.clone() };
        let authorizer = Authorizer::compile(resources, &behind, &mut problems);
        if problems.has_errors() {
            return Err(problems.to_string());
        }
        let providers = group.mesh_config.iter().flat_map(|config| &config.extension_providers);
        let names = providers.filter_map(|provider| provider.name.clone()).collect();
        let before = ProxyContext { ext_authz: ExternalAuthorization::Before(names), ..proxy };
        let before = Authorizer::compile(resources, &before, &mut Problems::new());
        Ok(Self { routes, before, authorizer })
    }

    /// Runs one request: authorization, route, header operations, fault, forwarding.
    #[must_use]
    pub fn run(&self, case: &Case, random: &mut dyn Random) -> Outcome {
        let pairs = request_headers(&case.request);
        let buffer = HeaderMap::write(&pairs);
        let Ok(headers) = HeaderMap::parse(&buffer) else { return Outcome::default() };
        let connection = Connection(&case.request);
        let request = RequestView::new(&headers, &connection);

        let custom = self.before.authorize(&request, &mut ());
        let asks = Some(custom.asks().unwrap_or_default().to_owned());
        if let Some(reply) = custom.local_reply() {
            let policy = Some(custom.reason(None));
            return answered(
                Outcome { allowed: Some(false), asks, policy, ..Outcome::default() },
                case,
                reply,
                &[],
            );
        }
        if let (Some(_), Some(status)) = (custom.asks(), provider_denies(&case.request)) {
            return Outcome {
                allowed: Some(status != 403),
                asks,
                status: Some(status),
                ..Outcome::default()
            };
        }
        let verdict = self.authorizer.authorize(&request, &mut ());
        let mut outcome = Outcome {
            allowed: Some(verdict.is_allowed()),
            asks,
            policy: verdict.determining().map(ToString::to_string),
            ..Outcome::default()
        };
        outcome.route = Some(String::new());
        if let Some(reply) = verdict.local_reply() {
            return answered(outcome, case, reply, &[]);
        }
        let matched = match self.routes.select(&request, &mut ()) {
            Selection::Route(matched) => matched,
            Selection::Unmanaged => {
                let mut edits = Vec::new();
                route::drop_control_headers(&request, &mut edits);
                return forwarded(outcome, case, &pairs, &edits, &[]);
            }
            Selection::UnknownHost | Selection::NoRoute => {
                return answered(outcome, case, route::not_found(), &[]);
            }
        };
        outcome.route = Some(matched.name().to_owned());
        outcome.rule = Some(rule(&matched.rule().to_string()));
        let choice = matched.choose(random);
        let mut response_edits = Vec::new();
        choice.response_edits(&request, &mut response_edits);
        let fault = choice.fault(&request, random);
        if let Some(reply) = fault.abort {
            return answered(outcome, case, reply, &response_edits);
        }
        choice.cors_edits(&request, &mut response_edits);
        if let Some(reply) = choice.local_reply(&request) {
            return answered(outcome, case, reply, &response_edits);
        }
        let mirrors = choice.profile().into_iter().flat_map(|profile| profile.mirrors());
        outcome.mirrors = Some(mirrors.map(|(cluster, _)| cluster.to_owned()).collect());
        let mut edits = Vec::new();
        route::drop_control_headers(&request, &mut edits);
        choice.request_edits(&request, &mut edits);
        choice.forward_edits(&request, &mut edits);
        forwarded(outcome, case, &pairs, &edits, &response_edits)
    }
}

/// The status with which the external authorizer of the corpus denies a request, when it does.
fn provider_denies(request: &Request) -> Option<u32> {
    let line = request.headers.iter().find(|line| line.name == "x-echo-status")?;
    std::str::from_utf8(&line.value).ok()?.parse().ok().filter(|status| *status != 200)
}

/// The rule that a route was made of, without the entry of its `match` list.
fn rule(id: &str) -> String {
    let id = id.rsplit(", ").next().unwrap_or(id);
    id.split(".match[").next().unwrap_or(id).to_owned()
}

fn answered(mut outcome: Outcome, case: &Case, reply: LocalReply, edits: &[HeaderEdit<'_>]) -> Outcome {
    let line = |name: &str, value: Vec<u8>| HeaderLine { name: name.to_owned(), value };
    let mut headers: Vec<HeaderLine> =
        reply.headers.iter().map(|(name, value)| line(name, value.clone())).collect();
    let content_type = case.request.headers.iter().find(|line| line.name == "content-type");
    let kind = content_type.and_then(|line| line.value.strip_prefix(b"application/grpc"));
    if kind.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"+")) {
        let status = reply.grpc_status.unwrap_or_else(|| grpc_status(reply.status));
        headers.push(line("grpc-status", status.to_string().into_bytes()));
        if !reply.body.is_empty() {
            headers.push(line("grpc-message", reply.body));
        }
        outcome.status = Some(200);
        outcome.body = Some(Vec::new());
        outcome.response_headers = Some(with_content_type(apply(headers, edits), Some("application/grpc")));
    } else {
        outcome.status = Some(u32::from(reply.status));
        let lines = apply(headers, edits);
        let is_typed = lines.iter().any(|line| line.name == "content-type");
        outcome.response_headers = Some(match (reply.body.is_empty(), is_typed) {
            (true, _) => with_content_type(lines, None),
            (false, true) => lines,
            (false, false) => with_content_type(lines, Some("text/plain")),
        });
        let head = case.request.method.as_deref() == Some("HEAD");
        outcome.body = Some(if head { Vec::new() } else { reply.body });
    }
    outcome
}

/// The header lines with this content type alone: Envoy settles that of its own answers behind all operations.
fn with_content_type(mut lines: Vec<HeaderLine>, kind: Option<&str>) -> Vec<HeaderLine> {
    let name = "content-type";
    lines.retain(|line| line.name != name);
    lines.extend(kind.map(|kind| HeaderLine { name: name.to_owned(), value: kind.into() }));
    lines
}

/// Envoy's gRPC status for an HTTP status that it answers itself.
const fn grpc_status(status: u16) -> u32 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}

fn forwarded(
    mut outcome: Outcome,
    case: &Case,
    pairs: &[(String, Vec<u8>)],
    edits: &[HeaderEdit<'_>],
    response_edits: &[HeaderEdit<'_>],
) -> Outcome {
    let lines = pairs.iter().map(|(name, value)| HeaderLine { name: name.clone(), value: value.clone() });
    let sent = apply(lines.collect(), edits);
    let text = |name: &str| {
        let line = sent.iter().find(|line| line.name == name);
        line.map(|line| line.value.escape_ascii().to_string())
    };
    outcome.status = Some(200);
    outcome.cluster = text(control::CLUSTER);
    outcome.upstream = Some(Upstream {
        path: text(":path").unwrap_or_default(),
        authority: text(":authority").unwrap_or_default(),
        headers: sent.iter().filter(|line| !line.name.starts_with(':')).cloned().collect(),
    });
    outcome.response_headers = Some(apply(case.request.response_headers.clone(), response_edits));
    outcome
}

/// The header map as a plain list: what Envoy's calls do to it.
fn apply(mut lines: Vec<HeaderLine>, edits: &[HeaderEdit<'_>]) -> Vec<HeaderLine> {
    for edit in edits {
        match edit {
            HeaderEdit::Set(name, value) => {
                let line = HeaderLine { name: name.to_ascii_lowercase(), value: value.to_vec() };
                let first = lines.iter().position(|old| old.name == line.name);
                lines.retain(|old| old.name != line.name);
                lines.insert(first.unwrap_or(lines.len()).min(lines.len()), line);
            }
            HeaderEdit::Add(name, value) => {
                lines.push(HeaderLine { name: name.to_ascii_lowercase(), value: value.to_vec() });
            }
            HeaderEdit::Remove(name) => lines.retain(|old| !old.name.eq_ignore_ascii_case(name)),
        }
    }
    lines
}

/// The header map that Envoy would hand to a filter.
fn request_headers(request: &Request) -> Vec<(String, Vec<u8>)> {
    let text = |field: &Option<String>, default: &str| {
        field.clone().unwrap_or_else(|| default.to_owned()).into_bytes()
    };
    let mut pairs = vec![
        (":authority".to_owned(), text(&request.authority, DEFAULT_AUTHORITY)),
        (":path".to_owned(), text(&request.path, "/")),
        (":method".to_owned(), text(&request.method, "GET")),
        (":scheme".to_owned(), text(&request.scheme, "http")),
    ];
    pairs.extend(request.headers.iter().map(|line| (line.name.clone(), line.value.clone())));
    pairs
}

/// The authority of cases that name none.
pub const DEFAULT_AUTHORITY: &str = "any.example.com";

/// The server name of cases with a certificate that name none.
pub const DEFAULT_SNI: &str = "workload.test";

/// The connection that a case describes.
struct Connection<'c>(&'c Request);

impl Attributes for Connection<'_> {
    fn attribute(&self, attribute: Attribute) -> Option<Vec<u8>> {
        let Request { source_ip, remote_ip, destination_ip, destination_port, from, sni, .. } = self.0;
        let text = match attribute {
            Attribute::DirectRemoteIp => source_ip.as_deref().unwrap_or("127.0.0.1"),
            Attribute::RemoteIp => remote_ip.as_deref().or(source_ip.as_deref()).unwrap_or("127.0.0.1"),
            Attribute::DestinationIp => destination_ip.as_deref().unwrap_or("127.0.0.1"),
            Attribute::DestinationPort => {
                return Some(destination_port.unwrap_or(80).to_string().into_bytes());
            }
            Attribute::PeerUriSans => from.as_deref()?,
            Attribute::RequestedServerName => sni.as_deref().or(from.as_deref().and(Some(DEFAULT_SNI)))?,
            Attribute::Protocol => "HTTP/1.1",
            Attribute::JwtPayload => return self.0.token_payload(),
            _ => return None,
        };
        Some(text.as_bytes().to_vec())
    }
}

/// A generator for cases whose outcome must not depend on chance.
#[must_use]
pub const fn fixed_random() -> SplitMix64 {
    SplitMix64::new(1)
}

impl Refusal {
    /// The problems that its resources have.
    fn found(&self) -> Vec<String> {
        // As a filter does, which judges only what could be read.
        let text = serde_json::json!({"kind": "List", "items": self.nodes()}).to_string();
        let (config, mut problems) = PluginConfig::read_json(text.as_bytes());
        let proxy = ProxyContext::compile(&gateway_workload(), &mut problems);
        let _ = RouteTable::compile(&config.resources, &proxy, &mut problems);
        let _ = Authorizer::compile(&config.resources, &proxy, &mut problems);
        problems.iter().map(ToString::to_string).collect()
    }
}

/// Whether the run over the core leaves a case out.
#[must_use]
pub fn is_skipped(group: &Group, case: &Case) -> bool {
    [&group.skip, &case.skip].into_iter().flatten().any(|skip| skip.core.is_some())
}

/// Runs every case of one file over the core, and every refusal.
///
/// # Errors
/// A paragraph for each case that came out otherwise; also when the file cannot be read or has no case.
pub fn file((file, text): crate::files::File) -> Result<usize, String> {
    let groups = corpus::groups(text, crate::files::COMMON).map_err(|error| format!("{file}: {error}"))?;
    let mut failures = String::new();
    let mut run = 0;
    for group in &groups {
        if group.cases.is_empty() && group.refused.is_empty() {
            return Err(format!("{file}: a document without cases"));
        }
        run += cases(group, file, &mut failures) + refusals(group, file, &mut failures);
    }
    if failures.is_empty() { Ok(run) } else { Err(failures) }
}

fn cases(group: &Group, file: &str, failures: &mut String) -> usize {
    let cases: Vec<&Case> = group.cases.iter().filter(|case| !is_skipped(group, case)).collect();
    if cases.is_empty() {
        return 0;
    }
    let policy = match Policy::compile(group) {
        Ok(policy) => policy,
        Err(problems) => {
            let _ = writeln!(failures, "{file}: {problems}");
            return 0;
        }
    };
    for case in &cases {
        if let Err(differences) = compare(&case.expect, &policy.run(case, &mut fixed_random())) {
            let _ = writeln!(failures, "{file}: {}\n{differences}", case.name.as_deref().unwrap_or_default());
        }
    }
    cases.len()
}

fn refusals(group: &Group, file: &str, failures: &mut String) -> usize {
    for refusal in &group.refused {
        let found = refusal.found();
        // What is refused for no reason would pass here only because nothing was looked at.
        if found != refusal.problems || found.is_empty() {
            let name = refusal.name.as_deref().unwrap_or_default();
            let _ = writeln!(failures, "{file}: {name}: expected {:#?}, found {found:#?}", refusal.problems);
        }
    }
    group.refused.len()
}
