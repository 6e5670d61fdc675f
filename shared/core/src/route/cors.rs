//! `corsPolicy`: what browsers let scripts of other origins do.
//!
//! The same steps as Envoy's filter of that name. It answers preflights without asking the upstream, and marks all other
//! responses to allowed origins. It keeps no request away from the upstream: that is the browser's part.

use super::name::is_token;
use super::place::Place;
use super::quantity;
use super::string_matcher::StringMatcher;
use crate::effect::{HeaderEdit, LocalReply};
use crate::request::RequestView;
use mesh_policy_istio::decode::Timespan;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::virtual_service::{CorsPolicy, StringMatch, UnmatchedPreflights};
use std::borrow::Cow;

const ALLOW_ORIGIN: &str = "access-control-allow-origin";
const ALLOW_CREDENTIALS: &str = "access-control-allow-credentials";
const EXPOSE_HEADERS: &str = "access-control-expose-headers";

/// A compiled policy. Lists are joined as they are sent; an empty one is not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cors {
    origins: Vec<StringMatcher>,
    methods: String,
    headers: String,
    exposed: String,
    max_age: Option<String>,
    credentials: bool,
    /// Whether preflights of other origins are answered here, too.
    answers_unmatched: bool,
}

const METHODS: [&str; 10] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", ANY];

const ANY: &str = "*";

impl Cors {
    /// From the object written at `at`.
    pub(super) fn compile(written: &CorsPolicy, at: &Place<'_>, problems: &mut Problems) -> Self {
        let CorsPolicy {
            allow_origins,
            allow_origin,
            allow_methods,
            allow_headers,
            expose_headers,
            max_age,
            allow_credentials,
            unmatched_preflights,
        } = written;
        let below = at.field("allowMethods");
        for (index, method) in allow_methods.iter().enumerate() {
            if !METHODS.contains(&method.as_str()) {
                problems.error(
                    below.index(index).path(),
                    ProblemKind::InvalidValue,
                    format!("expected one of {}, found `{method}`", METHODS.join(", ")),
                );
            }
        }
        for (field, names) in [("allowHeaders", allow_headers), ("exposeHeaders", expose_headers)] {
            let below = at.field(field);
            for (index, name) in names.iter().enumerate() {
                if name != ANY && !is_token(name) {
                    problems.error(
                        below.index(index).path(),
                        ProblemKind::InvalidValue,
                        format!("expected the name of a header or `*`, found `{name}`"),
                    );
                }
            }
        }
        Self {
            origins: origins(allow_origins, allow_origin, at, problems),
            methods: allow_methods.join(","),
            headers: allow_headers.join(","),
            exposed: expose_headers.join(","),
            max_age: max_age.and_then(|span| seconds(span, &at.field("maxAge"), problems)),
            credentials: allow_credentials.unwrap_or_default(),
            answers_unmatched: matches!(unmatched_preflights, Some(UnmatchedPreflights::Ignore)),
        }
    }

    /// The answer to a preflight; `None` for every other request, and for preflights that go to the upstream.
    pub(super) fn preflight(&self, request: &RequestView<'_>) -> Option<LocalReply> {
        let (origin, method) = self.preflight_of(request)?;
        let mut headers: Vec<(String, Vec<u8>)> = Vec::new();
        let mut put = |name: &str, value: &[u8]| headers.push((name.to_owned(), value.to_vec()));
        let is_allowed = self.allows(&origin);
        if is_allowed {
            put(ALLOW_ORIGIN, &origin);
        }
        if self.credentials {
            put(ALLOW_CREDENTIALS, b"true");
        }
        match self.methods.as_str() {
            "" => {}
            ANY => put("access-control-allow-methods", &method),
            methods => put("access-control-allow-methods", methods.as_bytes()),
        }
        match self.headers.as_str() {
            "" => {}
            ANY => {
                let asked = request.header("access-control-request-headers");
                put("access-control-allow-headers", asked.as_deref().unwrap_or_default());
            }
            headers => put("access-control-allow-headers", headers.as_bytes()),
        }
        if let Some(seconds) = &self.max_age {
            put("access-control-max-age", seconds.as_bytes());
        }
        if is_allowed && !self.exposed.is_empty() {
            put(EXPOSE_HEADERS, self.exposed.as_bytes());
        }
        Some(LocalReply {
            status: 200,
            headers,
            body: Vec::new(),
            grpc_status: None,
            details: "cors_response".to_owned(),
        })
    }

    /// Whether the request is a preflight that is answered here.
    pub(super) fn answers(&self, request: &RequestView<'_>) -> bool {
        self.preflight_of(request).is_some()
    }

    /// Marks the response to any other request.
    pub(super) fn response_edits<'t>(&'t self, request: &RequestView<'_>, edits: &mut Vec<HeaderEdit<'t>>) {
        let Some(origin) = origin(request).filter(|origin| self.allows(origin)) else { return };
        let mut set =
            |name: &'static str, value: Cow<'t, [u8]>| edits.push(HeaderEdit::Set(name.into(), value));
        set(ALLOW_ORIGIN, Cow::Owned(origin.into_owned()));
        if self.credentials {
            set(ALLOW_CREDENTIALS, Cow::Borrowed(b"true"));
        }
        if !self.exposed.is_empty() {
            set(EXPOSE_HEADERS, Cow::Borrowed(self.exposed.as_bytes()));
        }
    }

    /// Origin and method of a preflight that is answered here.
    fn preflight_of<'r>(&self, request: &RequestView<'r>) -> Option<Preflight<'r>> {
        if request.method() != Some(b"OPTIONS") {
            return None;
        }
        let origin = origin(request)?;
        let method = request.header("access-control-request-method").filter(|method| !method.is_empty())?;
        (self.answers_unmatched || self.allows(&origin)).then_some((origin, method))
    }

    /// A matcher of the literal `*` stands for every origin, whatever else it would match.
    fn allows(&self, origin: &[u8]) -> bool {
        self.origins.iter().any(|matcher| matcher.matches(ANY.as_bytes()) || matcher.matches(origin))
    }
}

/// The origin that asks before it sends, and the method it wants to use.
type Preflight<'r> = (Cow<'r, [u8]>, Cow<'r, [u8]>);

/// The origin of the script that asks; without one the request is of no concern here.
fn origin<'r>(request: &RequestView<'r>) -> Option<Cow<'r, [u8]>> {
    request.header("origin").filter(|origin| !origin.is_empty())
}

fn origins(
    written: &[StringMatch],
    deprecated: &[String],
    at: &Place<'_>,
    problems: &mut Problems,
) -> Vec<StringMatcher> {
    if !deprecated.is_empty() {
        let message = if written.is_empty() {
            "deprecated in favour of `allowOrigins`"
        } else {
            "has no effect beside `allowOrigins`"
        };
        problems.warning(at.field("allowOrigin").path(), ProblemKind::Suspicious, message);
    } else if written.is_empty() {
        let message = "allows no origin, as no `allowOrigins` is given";
        problems.warning(at.path(), ProblemKind::Suspicious, message);
    }
    if written.is_empty() {
        return deprecated.iter().map(|origin| StringMatcher::Exact(origin.as_str().into())).collect();
    }
    let below = at.field("allowOrigins");
    let mut origins = Vec::with_capacity(written.len());
    for (index, origin) in written.iter().enumerate() {
        let at = below.index(index);
        match origin {
            StringMatch::Present => {
                let message = "expected one of `exact`, `prefix` and `regex`, found none";
                problems
                    .error(at.path(), ProblemKind::Missing, message)
                    .help("write `regex: .*` for every origin");
            }
            StringMatch::Exact(text) if text.is_empty() => {
                let message = "expected an origin such as `https://example.com`, found an empty text";
                problems.error(at.field("exact").path(), ProblemKind::InvalidValue, message);
            }
            StringMatch::Prefix(text) if text.is_empty() => {
                let message = "expected the beginning of an origin, found an empty text";
                problems
                    .error(at.field("prefix").path(), ProblemKind::InvalidValue, message)
                    .help("write `regex: .*` for every origin");
            }
            StringMatch::Exact(_) | StringMatch::Prefix(_) | StringMatch::Regex(_) => {
                origins.extend(StringMatcher::compile(origin, &at, problems));
            }
        }
    }
    origins
}

/// Browsers are told whole seconds.
fn seconds(span: Timespan, at: &Place<'_>, problems: &mut Problems) -> Option<String> {
    let milliseconds = quantity::milliseconds(span, at, problems)?;
    if milliseconds % 1000 != 0 {
        problems.error(
            at.path(),
            ProblemKind::InvalidValue,
            format!(
                "expected whole seconds, found `{}`",
                span.duration().map(|d| format!("{d:?}")).unwrap_or_default()
            ),
        );
        return None;
    }
    Some((milliseconds / 1000).to_string())
}
