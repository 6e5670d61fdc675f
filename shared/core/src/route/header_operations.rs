//! `headers`: operations on request and response headers, in the order in which Envoy applies them.

use super::header_value::HeaderValue;
use super::name::is_token;
use super::place::Place;
use crate::control;
use crate::effect::HeaderEdit;
use crate::request::RequestView;
use mesh_policy_istio::map::Map;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::virtual_service::{HeaderOperations, Headers};
use std::borrow::Cow;

/// The operations of one `headers` object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct HeaderRules {
    pub(super) request: Block,
    pub(super) response: Block,
    /// The value of a `host` or `:authority` key, which is a rewrite and no header.
    pub(super) authority: Option<String>,
}

/// Operations in one direction: all removals come first, then what overwrites, then what appends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Block {
    remove: Vec<String>,
    set: Vec<(String, HeaderValue)>,
    add: Vec<(String, HeaderValue)>,
}

/// The blocks that Envoy evaluates one after the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Operations(Vec<Block>);

impl HeaderRules {
    /// From the object written at `at`.
    pub(super) fn compile(written: &Headers, at: &Place<'_>, problems: &mut Problems) -> Self {
        let Headers { request, response } = written;
        let mut rules = Self::default();
        if let Some(operations) = request {
            let at = at.field("request");
            rules.authority = authority(operations, &at, problems);
            rules.request = Block::compile(operations, Direction::Request, &at, problems);
        }
        if let Some(operations) = response {
            rules.response = Block::compile(operations, Direction::Response, &at.field("response"), problems);
        }
        rules
    }
}

impl Block {
    fn compile(
        written: &HeaderOperations,
        direction: Direction,
        at: &Place<'_>,
        problems: &mut Problems,
    ) -> Self {
        let HeaderOperations { set, add, remove } = written;
        let mut removed = Vec::with_capacity(remove.len());
        let below = at.field("remove");
        for (index, name) in remove.iter().enumerate() {
            let at = below.index(index);
            // The authority cannot be removed in either direction.
            removed.extend(header_name(name, Direction::Response, &at, problems));
        }
        Self {
            remove: removed,
            set: values(set, direction, &at.field("set"), problems),
            add: values(add, direction, &at.field("add"), problems),
        }
    }

    fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }

    /// One block that does the operations of `self`, then those of `other`, kind by kind.
    fn joined(&self, other: &Self) -> Self {
        Self {
            remove: self.remove.iter().chain(&other.remove).cloned().collect(),
            set: self.set.iter().chain(&other.set).cloned().collect(),
            add: self.add.iter().chain(&other.add).cloned().collect(),
        }
    }

    fn removals(&self) -> impl Iterator<Item = HeaderEdit<'_>> {
        self.remove.iter().map(|name| HeaderEdit::Remove(Cow::Borrowed(name)))
    }

    /// Appends what overwrites and what appends.
    #[inline]
    fn put<'t>(&'t self, request: &RequestView<'_>, seen: Seen<'_>, edits: &mut Vec<HeaderEdit<'t>>) {
        for (values, appends) in [(&self.set, false), (&self.add, true)] {
            for (name, value) in values {
                let seen = match seen {
                    Seen::These(seen) => seen,
                    Seen::First(count) => edits.get(..count).unwrap_or_default(),
                };
                let value: Cow<'t, [u8]> =
                    value.format(request, &|name: &str| first_line(request, seen, name));
                let name = Cow::Borrowed(name.as_str());
                // Envoy leaves a header alone when its new value comes out empty.
                match (value.is_empty(), appends) {
                    (true, _) => {}
                    (false, false) => edits.push(HeaderEdit::Set(name, value)),
                    (false, true) => edits.push(HeaderEdit::Add(name, value)),
                }
            }
        }
    }
}

/// The edits that request headers are subject to before values are taken from them.
#[derive(Clone, Copy)]
enum Seen<'s> {
    These(&'s [HeaderEdit<'s>]),
    /// So many of the edits that are being put together.
    First(usize),
}

impl Operations {
    /// The operations of a rule without destinations.
    pub(super) fn of_rule(block: &Block) -> Self {
        Self([block].into_iter().filter(|block| !block.is_empty()).cloned().collect())
    }

    /// For the only destination of a rule: Istio joins both levels into one block, and the destination has the last word.
    pub(super) fn of_only_destination(rule: &Block, destination: &Block) -> Self {
        Self([rule.joined(destination)].into_iter().filter(|block| !block.is_empty()).collect())
    }

    /// For one of several destinations: Envoy evaluates the destination's block first, and the rule has the last word.
    pub(super) fn of_one_destination(rule: &Block, destination: &Block) -> Self {
        Self([destination, rule].into_iter().filter(|block| !block.is_empty()).cloned().collect())
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether any value takes headers of the request.
    pub(super) fn reads_request_headers(&self) -> bool {
        let reads = |values: &[(String, HeaderValue)]| values.iter().any(|(_, v)| v.reads_request_headers());
        self.0.iter().any(|block| reads(&block.set) || reads(&block.add))
    }

    /// The edits of request headers.
    #[inline]
    pub(super) fn request_edits<'t>(&'t self, request: &RequestView<'_>, edits: &mut Vec<HeaderEdit<'t>>) {
        for block in &self.0 {
            // All values of a block are computed after its removals and before its first change.
            edits.extend(block.removals());
            block.put(request, Seen::First(edits.len()), edits);
        }
    }

    /// The edits of response headers; `seen` are the edits of the request's.
    #[inline]
    pub(super) fn response_edits<'t>(
        &'t self,
        request: &RequestView<'_>,
        seen: &[HeaderEdit<'_>],
        edits: &mut Vec<HeaderEdit<'t>>,
    ) {
        for block in &self.0 {
            edits.extend(block.removals());
            block.put(request, Seen::These(seen), edits);
        }
    }
}

/// The first line of a request header after `edits`: what `%REQ(NAME)%` stands for.
fn first_line(request: &RequestView<'_>, edits: &[HeaderEdit<'_>], name: &str) -> Option<Vec<u8>> {
    let mut line = request.headers().first(name).map(<[u8]>::to_vec);
    for edit in edits {
        match edit {
            HeaderEdit::Set(edited, value) if edited == name => line = Some(value.to_vec()),
            HeaderEdit::Add(edited, value) if edited == name && line.is_none() => line = Some(value.to_vec()),
            HeaderEdit::Remove(edited) if edited == name => line = None,
            HeaderEdit::Set(..) | HeaderEdit::Add(..) | HeaderEdit::Remove(..) => {}
        }
    }
    line
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Request,
    Response,
}

fn is_authority(name: &str) -> bool {
    name.eq_ignore_ascii_case("host") || name.eq_ignore_ascii_case(":authority")
}

/// Names sorted by bytes as they are written, which is the order in which Istio emits them.
fn values(
    written: &Map<String>,
    direction: Direction,
    at: &Place<'_>,
    problems: &mut Problems,
) -> Vec<(String, HeaderValue)> {
    let mut values = Vec::with_capacity(written.len());
    for (name, text) in written {
        if direction == Direction::Request && is_authority(name) {
            continue;
        }
        let at = at.field(name);
        let name = header_name(name, direction, &at, problems);
        if let Some(name) = &name
            && direction == Direction::Request
            && control::is_control_header(name.as_bytes())
        {
            problems.error(
                at.path(),
                ProblemKind::Unsupported,
                format!("`{name}` gives orders to the proxy and cannot be set by a rule"),
            );
        }
        let value = HeaderValue::compile(text, &at, problems);
        values.extend(name.zip(value));
    }
    values
}

fn header_name(name: &str, direction: Direction, at: &Place<'_>, problems: &mut Problems) -> Option<String> {
    let message = if is_authority(name) || name.starts_with(':') {
        match direction {
            Direction::Request => {
                format!("expected the name of a header or `:authority`, found the pseudo header `{name}`")
            }
            Direction::Response => format!("expected the name of a header, found `{name}`"),
        }
    } else if is_token(name) {
        return Some(name.to_ascii_lowercase());
    } else {
        format!("expected the name of a header, found `{name}`")
    };
    problems.error(at.path(), ProblemKind::InvalidValue, message);
    None
}

/// The new authority that `set` or `add` ask for; two of them would leave open which one counts.
fn authority(written: &HeaderOperations, at: &Place<'_>, problems: &mut Problems) -> Option<String> {
    let mut found: Option<&String> = None;
    for (field, values) in [("set", &written.set), ("add", &written.add)] {
        for (name, value) in values.iter().filter(|(name, _)| is_authority(name)) {
            let below = at.field(field);
            let at = below.field(name);
            if found.is_some() {
                problems.error(
                    at.path(),
                    ProblemKind::Conflict,
                    "the authority is set more than once by `host` and `:authority`",
                );
            }
            if value.contains('%') || value.bytes().any(|byte| byte.is_ascii_control()) {
                problems.error(
                    at.path(),
                    ProblemKind::InvalidValue,
                    format!("an authority is taken as it stands: expected no `%` and no control character, found `{}`",
                        value.escape_debug()),
                );
            }
            found = found.or(Some(value));
        }
    }
    found.filter(|value| !value.is_empty()).cloned()
}
