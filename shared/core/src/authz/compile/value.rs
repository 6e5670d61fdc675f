//! Sources and operations: fields and their values.

use super::super::at::At;
use super::super::cidr::{Cidr, decimal};
use super::super::claims::RequestPrincipal;
use super::super::condition::{Condition, Matcher, PathMatch};
use super::super::facts::Side;
use super::super::identity::{PeerMatch, with_aliases};
use super::super::path_template::{self, PathTemplate};
use super::super::value_match::{Star, ValueMatch, has_literal_star};
use super::Compiler;
use mesh_policy_istio::authorization_policy::{Operation, Source};
use mesh_policy_istio::problem::ProblemKind;

const MAX_SERVICE_ACCOUNTS: usize = 16;
const MAX_SERVICE_ACCOUNT_LENGTH: usize = 320;

impl Compiler<'_> {
    pub(super) fn source(&mut self, source: &Source, at: At<'_>) -> Vec<Condition> {
        let peers = [
            ("principals", &source.principals),
            ("notPrincipals", &source.not_principals),
            ("namespaces", &source.namespaces),
            ("notNamespaces", &source.not_namespaces),
            ("serviceAccounts", &source.service_accounts),
            ("notServiceAccounts", &source.not_service_accounts),
            ("trustDomains", &source.trust_domains),
            ("notTrustDomains", &source.not_trust_domains),
        ];
        let tokens = [
            ("requestPrincipals", &source.request_principals),
            ("notRequestPrincipals", &source.not_request_principals),
        ];
        for (field, values) in peers.iter().chain(&tokens) {
            if values.is_some() {
                self.not_in_custom(at.field(field), field);
            }
        }
        self.service_account_limits(source, at);
        let mut conditions = Vec::new();
        for field in peers {
            let read = match field.0 {
                "principals" | "notPrincipals" => Self::principal,
                "namespaces" | "notNamespaces" => Self::namespace,
                "serviceAccounts" | "notServiceAccounts" => Self::service_account,
                _ => Self::trust_domain,
            };
            self.add(&mut conditions, at, field, read, Matcher::Peer);
        }
        for field in tokens {
            self.add(&mut conditions, at, field, Self::request_principal, Matcher::RequestPrincipal);
        }
        for field in [("ipBlocks", &source.ip_blocks), ("notIpBlocks", &source.not_ip_blocks)] {
            self.add(&mut conditions, at, field, Self::cidr, |values| {
                Matcher::Address(Side::DirectRemote, values)
            });
        }
        for field in [
            ("remoteIpBlocks", &source.remote_ip_blocks),
            ("notRemoteIpBlocks", &source.not_remote_ip_blocks),
        ] {
            self.add(&mut conditions, at, field, Self::cidr, |values| Matcher::Address(Side::Remote, values));
        }
        conditions
    }

    fn service_account_limits(&mut self, source: &Source, at: At<'_>) {
        for (field, values) in [
            ("serviceAccounts", &source.service_accounts),
            ("notServiceAccounts", &source.not_service_accounts),
        ] {
            let Some(values) = values else { continue };
            let at = at.field(field);
            if values.len() > MAX_SERVICE_ACCOUNTS {
                self.error(
                    at,
                    ProblemKind::InvalidValue,
                    format!(
                        "expected at most {MAX_SERVICE_ACCOUNTS} service accounts, found {}",
                        values.len()
                    ),
                );
            }
            for (other, is_set) in [
                ("principals", source.principals.is_some()),
                ("notPrincipals", source.not_principals.is_some()),
                ("namespaces", source.namespaces.is_some()),
                ("notNamespaces", source.not_namespaces.is_some()),
            ] {
                if is_set {
                    self.error(
                        at,
                        ProblemKind::Conflict,
                        format!("`{field}` cannot stand beside `{other}` in one source"),
                    );
                }
            }
        }
    }

    pub(super) fn operation(&mut self, operation: &Operation, at: At<'_>) -> Vec<Condition> {
        let mut conditions = Vec::new();
        for field in [("hosts", &operation.hosts), ("notHosts", &operation.not_hosts)] {
            self.add(&mut conditions, at, field, Self::present_value, Matcher::Host);
        }
        for field in [("ports", &operation.ports), ("notPorts", &operation.not_ports)] {
            self.add(&mut conditions, at, field, Self::port, Matcher::Port);
        }
        for field in [("methods", &operation.methods), ("notMethods", &operation.not_methods)] {
            self.add(&mut conditions, at, field, Self::present_value, Matcher::Method);
        }
        for field in [("paths", &operation.paths), ("notPaths", &operation.not_paths)] {
            self.add(&mut conditions, at, field, Self::path, Matcher::Path);
        }
        conditions
    }

    /// A value of the one-star language; `*` alone matches an empty value too.
    pub(super) fn present_value(&mut self, text: &str, at: At<'_>, values: &mut Vec<ValueMatch>) {
        self.check_star(text, at);
        values.push(ValueMatch::parse(text, Star::Present));
    }

    /// A value of the one-star language; `*` alone does not match an empty value.
    pub(super) fn filled_value(&mut self, text: &str, at: At<'_>, values: &mut Vec<ValueMatch>) {
        self.check_star(text, at);
        values.push(ValueMatch::parse(text, Star::NonEmpty));
    }

    fn check_star(&mut self, text: &str, at: At<'_>) {
        if has_literal_star(text) {
            let message =
                format!("only one star at the begin or end of `{text}` is a wildcard, the other is literal");
            let message = if text.starts_with('*') || text.ends_with('*') {
                message
            } else {
                format!("the star inside `{text}` is literal: only one at the begin or end is a wildcard")
            };
            self.suspicious(at, message);
        }
    }

    pub(super) fn principal(&mut self, text: &str, at: At<'_>, values: &mut Vec<PeerMatch>) {
        self.check_star(text, at);
        if let Some(principal) = text.strip_prefix("spiffe://") {
            self.problems
                .warning(
                    at.path(),
                    ProblemKind::Suspicious,
                    format!("a principal is written without `spiffe://`: `{text}` never matches"),
                )
                .help(format!("write `{principal}`"));
        }
        values.extend(with_aliases(text, self.domains).iter().map(|text| PeerMatch::principal(text)));
    }

    pub(super) fn namespace(&mut self, text: &str, _: At<'_>, values: &mut Vec<PeerMatch>) {
        values.push(PeerMatch::namespace(text));
    }

    pub(super) fn service_account(&mut self, text: &str, at: At<'_>, values: &mut Vec<PeerMatch>) {
        if text.len() > MAX_SERVICE_ACCOUNT_LENGTH {
            self.error(
                at,
                ProblemKind::InvalidValue,
                format!("expected at most {MAX_SERVICE_ACCOUNT_LENGTH} bytes, found {}", text.len()),
            );
        }
        let (namespace, name) = text.split_once('/').unwrap_or((self.namespace, text));
        if text.contains('*') || name.contains('/') || name.is_empty() || namespace.is_empty() {
            self.error(
                at,
                ProblemKind::InvalidValue,
                format!("expected `name` or `namespace/name` without `*`, found `{text}`"),
            );
            return;
        }
        values.push(PeerMatch::service_account(namespace, name));
    }

    pub(super) fn trust_domain(&mut self, text: &str, at: At<'_>, values: &mut Vec<PeerMatch>) {
        if text.contains('/') || has_literal_star(text) {
            self.error(
                at,
                ProblemKind::InvalidValue,
                format!("expected a trust domain with one `*` at most, at its begin or end, found `{text}`"),
            );
        }
        if self.domains.iter().any(|domain| domain == text) {
            values.extend(self.domains.iter().map(|domain| PeerMatch::trust_domain(domain)));
        } else {
            values.push(PeerMatch::trust_domain(text));
        }
    }

    pub(super) fn request_principal(&mut self, text: &str, _: At<'_>, values: &mut Vec<RequestPrincipal>) {
        values.push(RequestPrincipal::parse(text));
    }

    pub(super) fn cidr(&mut self, text: &str, at: At<'_>, values: &mut Vec<Cidr>) {
        match Cidr::parse(text) {
            Some(cidr) => values.push(cidr),
            None => self.error(
                at,
                ProblemKind::InvalidValue,
                format!("expected an IP address or a CIDR block such as `10.0.0.0/8`, found `{text}`"),
            ),
        }
    }

    pub(super) fn port(&mut self, text: &str, at: At<'_>, values: &mut Vec<u16>) {
        match decimal(text).and_then(|port| u16::try_from(port).ok()) {
            Some(port) => values.push(port),
            None => self.error(
                at,
                ProblemKind::InvalidValue,
                format!("expected a port from 0 to 65535, found `{text}`"),
            ),
        }
    }

    fn path(&mut self, text: &str, at: At<'_>, values: &mut Vec<PathMatch>) {
        if path_template::is_template(text) {
            match PathTemplate::parse(text) {
                Ok(template) => values.push(PathMatch::Template(template)),
                Err(error) => self.error(at, ProblemKind::InvalidValue, error),
            }
            return;
        }
        if let Err(error) = path_template::check_plain(text) {
            self.error(at, ProblemKind::InvalidValue, error);
        }
        if text.contains(['?', '#']) {
            self.suspicious(at, format!("paths are compared without their query: `{text}` never matches"));
        }
        self.check_star(text, at);
        values.push(PathMatch::Plain(ValueMatch::parse(text, Star::NonEmpty)));
    }
}
