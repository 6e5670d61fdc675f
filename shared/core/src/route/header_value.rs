//! The values of header operations, with Envoy's `%OPERATOR%` syntax.

use super::place::Place;
use crate::request::{Attribute, RequestView};
use mesh_policy_istio::problem::{ProblemKind, Problems};

/// A value that may take parts from the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HeaderValue {
    /// Always the same.
    Text(Vec<u8>),
    /// Put together for each request.
    Format(Vec<Piece>),
}

/// A part of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// As it stands.
    Text(Vec<u8>),
    /// `%REQ(NAME?OTHER):LIMIT%`: the first line of a request header.
    RequestHeader {
        /// Its name, lower case.
        name: String,
        /// The header to take when that one is missing.
        other: Option<String>,
        /// How many bytes to take at most.
        limit: Option<usize>,
    },
    /// A fact about the connection.
    Attribute(Attribute),
    /// The port at the end of an address.
    Port(Attribute),
}

/// The operators without arguments whose values are there when the request arrives.
static OPERATORS: [(&str, Piece); 11] = [
    ("DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT", Piece::Attribute(Attribute::DirectRemoteIp)),
    ("DOWNSTREAM_LOCAL_ADDRESS", Piece::Attribute(Attribute::DestinationAddress)),
    ("DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", Piece::Attribute(Attribute::DestinationIp)),
    ("DOWNSTREAM_LOCAL_PORT", Piece::Attribute(Attribute::DestinationPort)),
    ("DOWNSTREAM_PEER_SUBJECT", Piece::Attribute(Attribute::PeerSubject)),
    ("DOWNSTREAM_PEER_URI_SAN", Piece::Attribute(Attribute::PeerUriSans)),
    ("DOWNSTREAM_REMOTE_ADDRESS", Piece::Attribute(Attribute::RemoteAddress)),
    ("DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", Piece::Attribute(Attribute::RemoteIp)),
    ("DOWNSTREAM_REMOTE_PORT", Piece::Port(Attribute::RemoteAddress)),
    ("PROTOCOL", Piece::Attribute(Attribute::Protocol)),
    ("REQUESTED_SERVER_NAME", Piece::Attribute(Attribute::RequestedServerName)),
];

impl HeaderValue {
    /// From the text written at `at`.
    pub(super) fn compile(text: &str, at: &Place<'_>, problems: &mut Problems) -> Option<Self> {
        match parse(text) {
            Ok(value) => Some(value),
            Err((kind, message)) => {
                let problem = problems.error(at.path(), kind, message);
                if kind == ProblemKind::InvalidValue && text.contains('%') {
                    problem.help("write `%%` for a percent sign");
                }
                None
            }
        }
    }

    /// Whether it takes headers of the request.
    pub(super) fn reads_request_headers(&self) -> bool {
        matches!(self, Self::Format(pieces)
            if pieces.iter().any(|piece| matches!(piece, Piece::RequestHeader { .. })))
    }

    /// The value for `request`, whose headers `header` knows by name.
    pub(super) fn format(
        &self,
        request: &RequestView<'_>,
        header: &dyn Fn(&str) -> Option<Vec<u8>>,
    ) -> std::borrow::Cow<'_, [u8]> {
        let pieces = match self {
            Self::Text(text) => return text.into(),
            Self::Format(pieces) => pieces,
        };
        let mut value = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) => value.extend_from_slice(text),
                Piece::RequestHeader { name, other, limit } => {
                    let found = header(name).or_else(|| header(other.as_ref()?)).unwrap_or_default();
                    value.extend(found.into_iter().take(limit.unwrap_or(usize::MAX)));
                }
                Piece::Attribute(attribute) => {
                    value.extend_from_slice(request.attribute(*attribute).unwrap_or_default());
                }
                Piece::Port(attribute) => {
                    let address = request.attribute(*attribute).unwrap_or_default();
                    value.extend_from_slice(address.rsplit(|byte| *byte == b':').next().unwrap_or_default());
                }
            }
        }
        value.into()
    }
}

type Invalid = (ProblemKind, String);

fn invalid(message: impl Into<String>) -> Invalid {
    (ProblemKind::InvalidValue, message.into())
}

fn parse(text: &str) -> Result<HeaderValue, Invalid> {
    if let Some(byte) = text.bytes().find(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return Err(invalid(format!("expected a header value, found the control character 0x{byte:02x}")));
    }
    let mut pieces = Vec::new();
    let mut plain: Vec<u8> = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        plain.extend_from_slice(before.as_bytes());
        if let Some(after) = after.strip_prefix('%') {
            plain.push(b'%');
            rest = after;
            continue;
        }
        let (piece, after) = operator(after)?;
        if !plain.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut plain)));
        }
        pieces.push(piece);
        rest = after;
    }
    plain.extend_from_slice(rest.as_bytes());
    if pieces.is_empty() {
        return Ok(HeaderValue::Text(plain));
    }
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    Ok(HeaderValue::Format(pieces))
}

/// An operator behind its percent sign, and what follows it.
fn operator(text: &str) -> Result<(Piece, &str), Invalid> {
    let malformed =
        || invalid(format!("expected `%NAME%` or `%NAME(ARGUMENT)%`, found `%{}`", text.replace('\t', " ")));
    let end = text
        .find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))
        .ok_or_else(malformed)?;
    let (name, rest) = text.split_at_checked(end).ok_or_else(malformed)?;
    if name.is_empty() {
        return Err(malformed());
    }
    let (arguments, rest) = match rest.strip_prefix('(') {
        Some(rest) => {
            let (arguments, rest) = rest.split_once(')').ok_or_else(malformed)?;
            (Some(arguments), rest)
        }
        None => (None, rest),
    };
    let (limit, rest) = rest.split_once('%').ok_or_else(malformed)?;
    let limit = match limit.strip_prefix(':') {
        Some(digits) => Some(digits.parse().map_err(|_| malformed())?),
        None if limit.is_empty() => None,
        None => return Err(malformed()),
    };
    let piece = match (name, arguments, limit) {
        ("REQ" | "REQUEST_HEADER", Some(arguments), limit) => {
            let (name, other) =
                arguments.split_once('?').map_or((arguments, None), |(name, other)| (name, Some(other)));
            let lower = |name: &str| {
                let is_name = super::name::is_token(name.strip_prefix(':').unwrap_or(name));
                is_name.then(|| name.to_ascii_lowercase()).ok_or_else(malformed)
            };
            Piece::RequestHeader { name: lower(name)?, other: other.map(lower).transpose()?, limit }
        }
        (name, arguments, limit) => {
            let known = OPERATORS.iter().find(|(known, _)| *known == name);
            match known.filter(|_| arguments.is_none() && limit.is_none()) {
                Some((_, piece)) => piece.clone(),
                None => return Err((ProblemKind::Unsupported, not_known_at_request_time(name))),
            }
        }
    };
    Ok((piece, rest))
}

fn not_known_at_request_time(name: &str) -> String {
    let known: Vec<String> = OPERATORS.iter().map(|(known, _)| format!("%{known}%")).collect();
    format!(
        "the operator `{name}` cannot be evaluated here: expected one of %REQ(NAME?OTHER):LIMIT%, {}",
        known.join(", ")
    )
}
