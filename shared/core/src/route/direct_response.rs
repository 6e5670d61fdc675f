//! `directResponse`: an answer in place of an upstream.

use super::place::Place;
use super::quantity;
use crate::effect::LocalReply;
use crate::request::RequestView;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::virtual_service::{HttpBody, HttpDirectResponse};

/// Istio's bound on a body.
const MAX_BODY: usize = 1 << 20;
/// From here on Istio warns.
const LARGE_BODY: usize = 100 << 10;

/// A fixed answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DirectResponse {
    status: u16,
    body: Vec<u8>,
}

impl DirectResponse {
    /// From the object written at `at`.
    pub(super) fn compile(
        written: &HttpDirectResponse,
        at: &Place<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let HttpDirectResponse { status, body } = written;
        let status = match status {
            Some(status) => quantity::status((*status).into(), &at.field("status"), problems),
            None => {
                let message = "missing: expected a status from 200 to 599";
                problems.error(at.field("status").path(), ProblemKind::Missing, message);
                None
            }
        };
        let at = at.field("body");
        let body = match body {
            None | Some(HttpBody { string: None, bytes: None }) => Vec::new(),
            Some(HttpBody { string: Some(text), bytes: None }) => text.clone().into_bytes(),
            Some(HttpBody { string: None, bytes: Some(bytes) }) => bytes.0.clone(),
            Some(HttpBody { string: Some(_), bytes: Some(_) }) => {
                let message = "expected one of `string` and `bytes`, found both";
                problems.error(at.path(), ProblemKind::Conflict, message);
                return None;
            }
        };
        if body.len() > MAX_BODY {
            problems.error(
                at.path(),
                ProblemKind::InvalidValue,
                format!("expected a body of at most {MAX_BODY} bytes, found {}", body.len()),
            );
            return None;
        }
        if body.len() > LARGE_BODY {
            problems.warning(
                at.path(),
                ProblemKind::Suspicious,
                format!("a body of {} bytes is held in memory by every worker of the proxy", body.len()),
            );
        }
        Some(Self { status: status?, body })
    }

    /// The answer. Envoy gives 201 and redirects a `location`: the address that was asked for.
    pub(super) fn reply(&self, request: &RequestView<'_>) -> LocalReply {
        let headers = match self.status {
            201 | 300..400 => {
                let part = |part: Option<&'_ [u8]>| part.unwrap_or_default().to_vec();
                let (authority, path) = (part(request.authority()), part(request.path_and_query()));
                let location = [part(request.scheme()), b"://".to_vec(), authority, path].concat();
                vec![("location".to_owned(), location)]
            }
            _ => Vec::new(),
        };
        LocalReply {
            status: self.status,
            headers,
            body: self.body.clone(),
            grpc_status: None,
            details: "direct_response".to_owned(),
        }
    }
}
