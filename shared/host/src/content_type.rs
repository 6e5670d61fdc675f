//! Operations of rules on `content-type` where the proxy itself answers.
//!
//! Envoy lets a route change the headers of its own answers before it settles their content type: `text/plain` where there
//! is a body and the route has set none, `application/grpc` for every gRPC client, nothing without a body. A filter sees the
//! settled answer, and so has to undo that order.

use crate::abi;
use crate::host_call::Map;
use crate::kept::KeptEdits;
use mesh_policy_core::effect::HeaderEdit;
use mesh_policy_core::request::HeaderMap;

const CONTENT_TYPE: &str = "content-type";

/// The response-code details of a response that an upstream gave.
const VIA_UPSTREAM: &[u8] = b"via_upstream";

/// The edits for the response that is on its way back, where these are not the ones to carry out.
pub fn settled(edits: &KeptEdits) -> Option<Vec<HeaderEdit<'_>>> {
    if !edits.iter().any(|change| change.name().eq_ignore_ascii_case(CONTENT_TYPE.as_bytes())) {
        return None;
    }
    // What cannot be told is taken for an upstream's.
    let details = abi::property(&["response", "code_details"]).ok().flatten();
    if details.is_none_or(|details| details == VIA_UPSTREAM) {
        return None;
    }
    let buffer = abi::header_map(Map::ResponseHeaders).ok()?;
    let headers = HeaderMap::parse(&buffer).ok()?;
    Some(of_local_reply(edits.iter().map(|change| change.edit()).collect(), headers.first(CONTENT_TYPE)))
}

fn is_of_content_type(edit: &HeaderEdit<'_>) -> bool {
    edit.name().eq_ignore_ascii_case(CONTENT_TYPE)
}

/// The edits for an answer of the proxy with this content type.
fn of_local_reply<'e>(edits: Vec<HeaderEdit<'e>>, settled: Option<&[u8]>) -> Vec<HeaderEdit<'e>> {
    let (of_content_type, mut edits): (Vec<_>, Vec<_>) = edits.into_iter().partition(is_of_content_type);
    if settled.is_none_or(|kind| kind == b"application/grpc") {
        return edits;
    }
    let mut values = Vec::new();
    for edit in of_content_type {
        match edit {
            HeaderEdit::Set(_, value) => values = vec![value],
            HeaderEdit::Add(_, value) => values.push(value),
            HeaderEdit::Remove(_) => values.clear(),
        }
    }
    let mut values = values.into_iter();
    edits.extend(values.next().map(|value| HeaderEdit::Set(CONTENT_TYPE.into(), value)));
    edits.extend(values.map(|value| HeaderEdit::Add(CONTENT_TYPE.into(), value)));
    edits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &'static str, value: &'static [u8]) -> HeaderEdit<'static> {
        HeaderEdit::Set(name.into(), value.into())
    }

    fn add(name: &'static str, value: &'static [u8]) -> HeaderEdit<'static> {
        HeaderEdit::Add(name.into(), value.into())
    }

    #[test]
    fn the_own_content_type_of_an_answer_gives_way_to_the_rules_and_is_not_taken_away() {
        let remove = HeaderEdit::Remove("content-type".into());
        for (edits, expected) in [
            (vec![set("content-type", b"a/b")], vec![set("content-type", b"a/b")]),
            (vec![add("Content-Type", b"a/b")], vec![set("content-type", b"a/b")]),
            (
                vec![add("content-type", b"a/b"), add("content-type", b"c/d")],
                vec![set("content-type", b"a/b"), add("content-type", b"c/d")],
            ),
            (
                vec![add("content-type", b"a/b"), set("content-type", b"c/d")],
                vec![set("content-type", b"c/d")],
            ),
            (vec![add("content-type", b"a/b"), remove.clone()], vec![]),
            (vec![remove, add("x-a", b"1")], vec![add("x-a", b"1")]),
        ] {
            assert_eq!(of_local_reply(edits, Some(b"text/plain")), expected);
        }
    }

    #[test]
    fn an_answer_without_body_and_one_to_a_grpc_client_keep_what_they_have() {
        let edits = || vec![set("content-type", b"a/b"), set("x-a", b"1")];
        for kind in [None, Some(b"application/grpc".as_slice())] {
            assert_eq!(of_local_reply(edits(), kind), [set("x-a", b"1")]);
        }
    }
}
