//! The mesh configuration: read from wherever people keep it, and judged.

use crate::finding::Finding;
use crate::options::{Options, PathNormalization};
use crate::source::Sources;
use crate::values;
use mesh_policy_istio::mesh_config::{
    ExtensionProvider, ExternalAuthorizationGrpc, ExternalAuthorizationHttp, MeshConfig, NormalizationType,
    RequestBody,
};
use mesh_policy_istio::node::{Node, Position, Value};
use mesh_policy_istio::path::Path;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::yaml;

/// The statuses that Envoy knows by name; it takes no other for `statusOnError`.
const STATUSES: [std::ops::RangeInclusive<u16>; 12] = [
    100..=100,
    200..=208,
    226..=226,
    300..=305,
    307..=308,
    400..=417,
    421..=424,
    426..=426,
    428..=429,
    431..=431,
    500..=508,
    510..=511,
];

/// A mesh configuration and where it stands.
#[derive(Debug)]
pub(crate) struct Placed {
    pub config: MeshConfig,
    pub at: Path,
}

impl Options {
    /// With what the mesh configuration of `sources` says, where there is one.
    #[must_use]
    pub fn under_mesh_config(self, sources: &Sources) -> Self {
        let Some(Placed { config, .. }) = sources.mesh_config() else { return self };
        let normalization = config.path_normalization.as_ref().and_then(|paths| paths.normalization);
        let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        Self {
            trust_domain: filled(&config.trust_domain).unwrap_or(self.trust_domain),
            trust_domain_aliases: config.trust_domain_aliases.clone(),
            root_namespace: filled(&config.root_namespace).unwrap_or(self.root_namespace),
            path_normalization: match normalization {
                None => self.path_normalization,
                Some(NormalizationType::None) => PathNormalization::None,
                Some(NormalizationType::Default | NormalizationType::Base) => PathNormalization::Base,
                Some(NormalizationType::MergeSlashes) => PathNormalization::MergeSlashes,
                Some(NormalizationType::DecodeAndMergeSlashes) => PathNormalization::DecodeAndMergeSlashes,
            },
            ..self
        }
    }
}

/// The document with the mesh configuration proper: the whole, the text in `data.mesh` of a ConfigMap, or `spec.meshConfig` of
/// an IstioOperator.
///
/// # Errors
/// What is wrong, and where.
pub(crate) fn unwrapped(
    text: &str,
    node: Node<'static>,
) -> Result<Node<'static>, (Option<Position>, String)> {
    let kind = node.get("kind").and_then(Node::as_str);
    let place = node.position;
    match kind {
        None => Ok(node),
        Some("ConfigMap") => {
            let Some(mesh) = node.get("data").and_then(|data| data.get("mesh")) else {
                return Err((place, "this ConfigMap has no `data.mesh`".to_owned()));
            };
            let at = mesh.position;
            let Some(inner) = mesh.as_str() else {
                return Err((at, format!("data.mesh: expected a text with YAML, found {}", mesh.describe())));
            };
            let shift = Shift::new(text, inner, at);
            let documents = yaml::read(inner)
                .map_err(|error| (shift.of(error.position), format!("data.mesh: {}", error.message)))?;
            let Some(mut node) = documents.nodes.into_iter().next() else {
                return Err((at, "data.mesh: empty".to_owned()));
            };
            shift.apply(&mut node);
            Ok(node)
        }
        Some("IstioOperator") => {
            let found = node.get("spec").and_then(|spec| spec.get("meshConfig"));
            found.cloned().ok_or_else(|| (place, "this IstioOperator has no `spec.meshConfig`".to_owned()))
        }
        Some(other) => Err((
            place,
            format!("expected a MeshConfig, or the ConfigMap or IstioOperator with it, found a `{other}`"),
        )),
    }
}

/// How places in a text within a text become places of the outer one.
struct Shift {
    whole: Option<Position>,
    /// Lines and columns to add, where the inner text stands in lines of its own.
    by: Option<(u32, u32)>,
}

impl Shift {
    fn new(outer: &str, inner: &str, at: Option<Position>) -> Self {
        let by = at.and_then(|at| {
            let (skipped, first) = inner.lines().enumerate().find(|(_, line)| !line.trim().is_empty())?;
            let begin = usize::try_from(at.line).ok()?.saturating_sub(1);
            let (line, text) = outer
                .lines()
                .enumerate()
                .skip(begin)
                .take(2 + skipped)
                .find(|(_, line)| line.trim() == first.trim())?;
            let indent = |text: &str| text.len() - text.trim_start().len();
            let lines = u32::try_from(line.checked_sub(skipped)?).ok()?;
            Some((lines, u32::try_from(indent(text).checked_sub(indent(first))?).ok()?))
        });
        Self { whole: at, by }
    }

    fn of(&self, inner: Position) -> Option<Position> {
        match self.by {
            Some((lines, columns)) => {
                Some(Position { line: inner.line + lines, column: inner.column + columns })
            }
            None => self.whole,
        }
    }

    fn apply(&self, node: &mut Node) {
        node.position = node.position.and_then(|position| self.of(position));
        match &mut node.value {
            Value::List(entries) => entries.iter_mut().for_each(|entry| self.apply(entry)),
            Value::Object(members) => {
                for member in members {
                    member.position = member.position.and_then(|position| self.of(position));
                    self.apply(&mut member.value);
                }
            }
            // Nothing is left unread of YAML, the only form that has positions.
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Unread(_) => {}
        }
    }
}

/// What is wrong with a mesh configuration, or not carried out of it.
pub(crate) fn check(placed: &Placed, problems: &mut Problems) {
    let Placed { config, at } = placed;
    for field in config.not_carried_out() {
        problems.warning(
            at.field(field),
            ProblemKind::Unsupported,
            "not carried out: of a mesh configuration, only trust domain, root namespace, path normalization and external \
             authorizers are",
        );
    }
    let at = at.field("extensionProviders");
    for (index, provider) in config.extension_providers.iter().enumerate() {
        let at = at.index(index);
        match provider.name.as_deref().unwrap_or_default() {
            "" => {
                problems.error(at.field("name"), ProblemKind::Missing, "missing: a provider has a name");
            }
            name => {
                let mut before = config.extension_providers.iter().take(index);
                if before.any(|other| other.name.as_deref() == Some(name)) {
                    let message = format!("there is another provider `{name}`");
                    problems.error(at.field("name"), ProblemKind::Conflict, message);
                }
            }
        }
        provider_kind(provider, &at, problems);
    }
}

fn provider_kind(provider: &ExtensionProvider, at: &Path, problems: &mut Problems) {
    let ExtensionProvider {
        name: _,
        envoy_ext_authz_http: http,
        envoy_ext_authz_grpc: grpc,
        zipkin,
        lightstep,
        datadog,
        stackdriver,
        opencensus,
        skywalking,
        opentelemetry,
        prometheus,
        envoy_file_access_log,
        envoy_http_als,
        envoy_tcp_als,
        envoy_otel_als,
        sds,
    } = provider;
    let others = [
        zipkin,
        lightstep,
        datadog,
        stackdriver,
        opencensus,
        skywalking,
        opentelemetry,
        prometheus,
        envoy_file_access_log,
        envoy_http_als,
        envoy_tcp_als,
        envoy_otel_als,
        sds,
    ];
    let others = others.into_iter().filter(|kind| kind.is_some()).count();
    let kinds = others + usize::from(http.is_some()) + usize::from(grpc.is_some());
    if kinds != 1 {
        let message = format!("expected exactly one kind of provider beside `name`, found {kinds}");
        problems.error(at.clone(), ProblemKind::Conflict, message);
    }
    if let Some(http) = http {
        http_provider(http, &at.field("envoyExtAuthzHttp"), problems);
    }
    if let Some(ExternalAuthorizationGrpc {
        service,
        port,
        timeout,
        fail_open: _,
        status_on_error,
        include_request_body_in_check: body,
        clear_route_cache: _,
    }) = grpc
    {
        let at = at.field("envoyExtAuthzGrpc");
        let timeout = timeout.map(|timeout| timeout.whole_millis());
        common(service.as_deref(), *port, timeout, status_on_error.as_deref(), body.as_ref(), &at, problems);
    }
}

fn http_provider(provider: &ExternalAuthorizationHttp, at: &Path, problems: &mut Problems) {
    let ExternalAuthorizationHttp {
        service,
        port,
        timeout,
        path_prefix,
        fail_open: _,
        status_on_error,
        include_request_headers_in_check,
        include_headers_in_check,
        include_additional_headers_in_check,
        include_request_body_in_check: body,
        headers_to_upstream_on_allow,
        headers_to_downstream_on_deny,
        headers_to_downstream_on_allow,
        clear_route_cache: _,
    } = provider;
    let timeout = timeout.map(|timeout| timeout.whole_millis());
    common(service.as_deref(), *port, timeout, status_on_error.as_deref(), body.as_ref(), at, problems);
    if let Some(prefix) =
        path_prefix.as_deref().filter(|prefix| !prefix.is_empty() && !prefix.starts_with('/'))
    {
        problems.error(
            at.field("pathPrefix"),
            ProblemKind::InvalidValue,
            format!("expected a path that begins with `/`, found `{prefix}`"),
        );
    }
    if !include_headers_in_check.is_empty() && !include_request_headers_in_check.is_empty() {
        problems.error(
            at.field("includeHeadersInCheck"),
            ProblemKind::Conflict,
            "this is the former name of `includeRequestHeadersInCheck`, and both are there",
        );
    }
    for (field, names) in [
        ("includeRequestHeadersInCheck", include_request_headers_in_check),
        ("includeHeadersInCheck", include_headers_in_check),
        ("headersToUpstreamOnAllow", headers_to_upstream_on_allow),
        ("headersToDownstreamOnDeny", headers_to_downstream_on_deny),
        ("headersToDownstreamOnAllow", headers_to_downstream_on_allow),
    ] {
        for (index, name) in names.iter().enumerate() {
            let bare = name.strip_prefix('*').or_else(|| name.strip_suffix('*')).unwrap_or(name);
            header(bare, name, &at.field(field).index(index), problems);
        }
    }
    for (name, value) in include_additional_headers_in_check {
        let at = at.field("includeAdditionalHeadersInCheck").field(name);
        header(name, name, &at, problems);
        if value.bytes().any(|byte| byte.is_ascii_control()) {
            problems.error(
                at,
                ProblemKind::InvalidValue,
                "expected a header's value, found a control character",
            );
        }
    }
}

fn header(bare: &str, written: &str, at: &Path, problems: &mut Problems) {
    let legal = bare.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
    if bare.is_empty() && written != "*" || bare.contains('*') || !legal {
        problems.error(
            at.clone(),
            ProblemKind::InvalidValue,
            format!("expected a header's name, with one `*` at most at its begin or end, found `{written}`"),
        );
    }
}

fn common(
    service: Option<&str>,
    port: Option<u32>,
    timeout: Option<Option<u64>>,
    status: Option<&str>,
    body: Option<&RequestBody>,
    at: &Path,
    problems: &mut Problems,
) {
    if service.is_none_or(|service| service.rsplit('/').next().is_none_or(str::is_empty)) {
        problems.error(at.field("service"), ProblemKind::Missing, "missing: expected the host of a service");
    } else if let Some(service) = service.filter(|service| service.matches('/').count() > 1) {
        problems.error(
            at.field("service"),
            ProblemKind::InvalidValue,
            format!("expected `HOST` or `NAMESPACE/HOST`, found `{service}`"),
        );
    }
    if port.and_then(values::port).is_none() {
        let found = port.map_or_else(|| "none".to_owned(), |port| format!("`{port}`"));
        let message = format!("expected a port from 1 to 65535, found {found}");
        problems.error(at.field("port"), ProblemKind::InvalidValue, message);
    }
    if timeout.is_some_and(|millis| millis.is_none_or(|millis| millis == 0)) {
        problems.error(
            at.field("timeout"),
            ProblemKind::InvalidValue,
            "expected a time of at least 1ms, in whole milliseconds",
        );
    }
    if let Some(status) = status.filter(|text| !text.is_empty() && status_code(text).is_none()) {
        problems.error(
            at.field("statusOnError"),
            ProblemKind::InvalidValue,
            format!("expected an HTTP status such as \"503\", found `{status}`"),
        );
    }
    if let Some(body) = body
        && body.max_request_bytes.unwrap_or(0) == 0
    {
        problems.error(
            at.field("includeRequestBodyInCheck").field("maxRequestBytes"),
            ProblemKind::Missing,
            "missing: expected how many bytes of the body are sent at most, above 0",
        );
    }
}

/// A status that Envoy takes.
pub(crate) fn status_code(text: &str) -> Option<u16> {
    let code = text.parse().ok()?;
    STATUSES.iter().any(|range| range.contains(&code)).then_some(code)
}

/// A finding about a text that is no mesh configuration.
pub(crate) fn unreadable(file: &str, position: Option<Position>, message: String) -> Finding {
    let mut finding = Finding::placeless(ProblemKind::Syntax, message, None);
    finding.file = file.to_owned();
    finding.line = position.map(|position| position.line);
    finding.column = position.map(|position| position.column);
    finding
}

#[cfg(test)]
mod tests;
