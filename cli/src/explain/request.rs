//! The request to explain, in the form in which it reaches the filters.

use crate::args::Explain;
use crate::choice::{RequestHeader, is_token};
use crate::explain::path::normalise;
use crate::failure::Failure;
use mesh_policy_compiler::PathNormalization;
use mesh_policy_core::request::{Attribute, Attributes};
use std::net::IpAddr;

/// A request behind Envoy's connection manager: path normalised, forwarding headers set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    pub scheme: &'static str,
    pub authority: String,
    /// With query; normalised.
    pub path: String,
    /// As it was written, when normalising changed it.
    pub written_path: Option<String>,
    /// What was given, lower-case names.
    pub headers: Vec<RequestHeader>,
    /// `cluster.local/ns/my-app/sa/frontend`.
    pub principal: Option<String>,
    pub source_ip: IpAddr,
    pub port: u16,
    /// What a client of `https` asks for in its TLS handshake: the URL's host.
    pub server_name: Option<String>,
}

const EXAMPLE: &str = "write it as `http://customers.example.com/path?query`";

impl Request {
    /// From the command line.
    pub fn new(args: &Explain, url: &str, normalization: PathNormalization) -> Result<Self, Failure> {
        let invalid = |what: &str| Failure::usage(format!("the URL `{url}` {what}")).help(EXAMPLE);
        if url.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(invalid("has white space or control characters in it"));
        }
        let (scheme, rest) = match url.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => ("http", rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => ("https", rest),
            _ => return Err(invalid("does not begin with `http://` or `https://`")),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let (host, port) = split_port(authority).ok_or_else(|| invalid("has a port that is none"))?;
        if host.is_empty() || host.contains('@') {
            return Err(invalid("has no host"));
        }
        if !is_token(&args.method) {
            return Err(Failure::usage(format!("`{}` is not a method", args.method)));
        }
        let target = target.split('#').next().unwrap_or_default();
        let written = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        let path = normalise(&written, normalization)
            .ok_or_else(|| invalid("has `%00` in its path, which Envoy answers with 400 before any rule"))?;
        let (mut headers, mut sent_authority) = (Vec::new(), authority.to_owned());
        for header in &args.headers {
            match header.name.as_str() {
                "host" => sent_authority.clone_from(&header.value),
                _ => headers.push(header.clone()),
            }
        }
        let default_port = if scheme == "https" { 443 } else { 80 };
        let principal =
            args.from.as_deref().map(|from| from.strip_prefix("spiffe://").unwrap_or(from).to_owned());
        Ok(Self {
            method: args.method.clone(),
            scheme,
            authority: sent_authority,
            written_path: (written != path).then_some(written),
            path,
            headers,
            principal,
            source_ip: args.source_ip,
            port: args.port.or(port).unwrap_or(default_port),
            server_name: (scheme == "https").then(|| host.to_ascii_lowercase()),
        })
    }

    /// All headers as the filters see them.
    pub fn header_pairs(&self) -> Vec<(String, String)> {
        let mut pairs: Vec<(String, String)> = [
            (":method", self.method.as_str()),
            (":scheme", self.scheme),
            (":authority", &self.authority),
            (":path", &self.path),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
        // At the edge Envoy says itself what came how, and appends the peer to what the client claims.
        let claimed = self.headers.iter().filter(|header| header.name == "x-forwarded-for");
        let forwarded: Vec<String> =
            claimed.map(|header| header.value.clone()).chain([self.source_ip.to_string()]).collect();
        let own = |name: &str| matches!(name, "x-forwarded-for" | "x-forwarded-proto");
        let sent = self.headers.iter().filter(|header| !own(&header.name));
        pairs.extend(sent.map(|header| (header.name.clone(), header.value.clone())));
        pairs.push(("x-forwarded-for".to_owned(), forwarded.join(",")));
        pairs.push(("x-forwarded-proto".to_owned(), self.scheme.to_owned()));
        pairs
    }
}

impl Attributes for Request {
    fn attribute(&self, attribute: Attribute) -> Option<Vec<u8>> {
        let text = match attribute {
            Attribute::DirectRemoteIp | Attribute::RemoteIp => self.source_ip.to_string(),
            Attribute::DestinationPort => self.port.to_string(),
            Attribute::PeerUriSans => format!("spiffe://{}", self.principal.as_ref()?),
            Attribute::RequestedServerName => self.server_name.clone()?,
            Attribute::Protocol => "HTTP/1.1".to_owned(),
            _ => return None,
        };
        Some(text.into_bytes())
    }
}

/// Host and port of an authority; IPv6 hosts keep their brackets.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            Some((host, Some(port.parse().ok().filter(|port| *port != 0)?)))
        }
        _ => Some((authority, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser;

    fn request(words: &[&str]) -> Result<Request, Failure> {
        let line = ["mesh-policy", "explain", "--file", "x.yaml"].iter().chain(words);
        let Command::Explain(args) = Cli::try_parse_from(line).unwrap().command else {
            panic!("not explain")
        };
        let url = args.url.clone().unwrap();
        Request::new(&args, &url, PathNormalization::Base)
    }

    fn refused(url: &str) -> Failure {
        request(&["--seed=0", url]).unwrap_err()
    }

    #[test]
    fn a_url_becomes_pseudo_headers() {
        let request = request(&["-X", "POST", "https://shop.example.com:8443/a/../b?x=1#top"]).unwrap();
        let expected = [
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", "shop.example.com:8443"),
            (":path", "/b?x=1"),
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-proto", "https"),
        ];
        assert_eq!(request.header_pairs(), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!((request.port, request.written_path.as_deref()), (8443, Some("/a/../b?x=1")));
        assert_eq!(
            request.attribute(Attribute::RequestedServerName).as_deref(),
            Some(b"shop.example.com".as_slice())
        );
    }

    #[test]
    fn the_host_header_is_the_authority_and_forwarding_headers_are_envoys() {
        let words = ["-H", "Host: a.com", "-H", "X-Forwarded-For: 9.9.9.9", "-H", "x-forwarded-proto: https"];
        let request =
            request(&[words.as_slice(), &["--source-ip", "10.1.2.3", "http://127.0.0.1"]].concat()).unwrap();
        assert_eq!((request.authority.as_str(), request.path.as_str(), request.port), ("a.com", "/", 80));
        let pairs = request.header_pairs();
        assert!(pairs.contains(&("x-forwarded-for".to_owned(), "9.9.9.9,10.1.2.3".to_owned())));
        assert!(pairs.contains(&("x-forwarded-proto".to_owned(), "http".to_owned())));
    }

    #[test]
    fn a_principal_is_taken_with_and_without_its_scheme() {
        for from in ["cluster.local/ns/a/sa/b", "spiffe://cluster.local/ns/a/sa/b"] {
            let request = request(&["--from", from, "http://a.com"]).unwrap();
            let sans = request.attribute(Attribute::PeerUriSans).unwrap();
            assert_eq!(sans, b"spiffe://cluster.local/ns/a/sa/b");
        }
    }

    #[test]
    fn what_is_no_url_is_refused() {
        let words = |url: &str, what: &str| Failure::usage(format!("the URL `{url}` {what}")).help(EXAMPLE);
        for (url, what) in [
            ("customers.example.com", "does not begin with `http://` or `https://`"),
            ("ftp://a.com", "does not begin with `http://` or `https://`"),
            ("http:///path", "has no host"),
            ("http://a.com:0/", "has a port that is none"),
            ("http://a.com/a b", "has white space or control characters in it"),
            ("http://a.com/%00", "has `%00` in its path, which Envoy answers with 400 before any rule"),
        ] {
            assert_eq!(refused(url), words(url, what));
        }
    }
}
