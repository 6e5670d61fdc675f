//! Which routes of a virtual host a request can take at all: the routes, filed in an index.
//!
//! Only what a route cannot match without is a key, so conditions on what must not be there are none.

use super::claim::Claim;
use super::condition::{self, Condition, Named};
use super::re2::FullMatch;
use super::string_matcher::{StringMatcher, UriMatcher};
use super::virtual_host::Route;
use crate::index::{Cost, Drawer, Filed, LookedAt, Part, WORTHWHILE};
use crate::request::RequestView;

/// What a condition looks at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Looked {
    Path,
    /// The path in lower case.
    PathInAnyCase,
    Method,
    Authority,
    Scheme,
    Header(Box<str>),
    QueryParam(Box<str>),
    Claim(Box<[Box<str>]>),
    /// As two bytes.
    Port,
}

/// The routes of a virtual host, filed.
#[derive(Debug)]
pub(super) struct Filing(Filed<Looked>);

impl Filing {
    /// Of those `routes` that stand at these positions; `None` where it is not worth it.
    pub(super) fn new(routes: &[Route], positions: &[usize]) -> Option<Self> {
        if positions.len() < WORTHWHILE {
            return None;
        }
        let mut drawer = Drawer::default();
        for position in positions {
            let needs = drawer.draft.mark();
            let conditions = routes.get(*position).map(|route| &route.matched.conditions);
            conditions.into_iter().flatten().for_each(|condition| drawer.condition(condition));
            drawer.draft.rule(needs);
        }
        Some(Self(drawer.finish()))
    }

    /// The first route that `matches`, as an index of the positions that this was made from.
    pub(super) fn first(
        &self,
        request: &RequestView<'_>,
        matches: &mut dyn FnMut(usize) -> bool,
    ) -> Option<usize> {
        let texts = |looked: &Looked, visit: &mut dyn FnMut(&[u8])| {
            looked.each_text(request, visit);
            Some(())
        };
        self.0.first(request.headers(), &texts, false, matches)
    }
}

impl LookedAt for Looked {
    fn cost(&self) -> Cost {
        match self {
            Self::Path
            | Self::PathInAnyCase
            | Self::Method
            | Self::Authority
            | Self::Scheme
            | Self::Header(_)
            | Self::QueryParam(_) => Cost::Read,
            Self::Claim(_) | Self::Port => Cost::Fetched,
        }
    }

    fn header(&self) -> Option<&str> {
        match self {
            Self::Header(name) => Some(name),
            _ => None,
        }
    }
}

impl Looked {
    /// Visits every text that a condition could be compared with. What cannot be told matches nothing here.
    fn each_text(&self, request: &RequestView<'_>, visit: &mut dyn FnMut(&[u8])) {
        match self {
            Self::Path => request.path().into_iter().for_each(visit),
            Self::PathInAnyCase => request.path().iter().for_each(|path| visit(&path.to_ascii_lowercase())),
            Self::Method => request.method().into_iter().for_each(visit),
            Self::Authority => request.authority().into_iter().for_each(visit),
            Self::Scheme => request.scheme().into_iter().for_each(visit),
            Self::Header(name) => request.header_lines(name).for_each(visit),
            Self::QueryParam(name) => {
                let value = |query| condition::query_param(query, name.as_bytes());
                request.query().and_then(value).into_iter().for_each(visit);
            }
            Self::Claim(path) => {
                let nothing_more = |text: &[u8]| {
                    visit(text);
                    false
                };
                let _open = request.token().any(path, nothing_more);
            }
            Self::Port => {
                condition::port(request).iter().for_each(|port| visit(&port.to_be_bytes()));
            }
        }
    }
}

impl Drawer<Looked> {
    fn condition(&mut self, condition: &Condition) {
        match condition {
            Condition::Uri(UriMatcher::Exact { path, ignore_case }) => {
                self.path(Part::Whole, path, *ignore_case);
            }
            Condition::Uri(UriMatcher::Prefix { prefix, ignore_case }) => {
                self.path(Part::Head, prefix, *ignore_case);
            }
            Condition::Uri(UriMatcher::Regex(regex)) => self.regex(&Looked::Path, regex),
            Condition::Method(matcher) => self.matcher(&Looked::Method, matcher),
            Condition::Authority(matcher) => self.matcher(&Looked::Authority, matcher),
            Condition::Scheme(matcher) => self.matcher(&Looked::Scheme, matcher),
            Condition::Header(Named { name, matcher, .. }) => {
                self.matcher(&Looked::Header(name.clone()), matcher);
            }
            Condition::QueryParam(Named { name, matcher, .. }) => {
                self.matcher(&Looked::QueryParam(name.clone()), matcher);
            }
            Condition::Claim(Claim { path, matcher, .. }) => {
                self.matcher(&Looked::Claim(path.clone()), matcher);
            }
            Condition::Port(port) => self.key(&Looked::Port, Part::Whole, &port.to_be_bytes()),
            Condition::WithoutHeader(_) | Condition::WithoutClaim(_) => {}
        }
    }

    fn path(&mut self, part: Part, text: &str, ignore_case: bool) {
        if ignore_case {
            self.key(&Looked::PathInAnyCase, part, text.to_ascii_lowercase().as_bytes());
        } else {
            self.key(&Looked::Path, part, text.as_bytes());
        }
    }

    fn matcher(&mut self, looked: &Looked, matcher: &StringMatcher) {
        match matcher {
            StringMatcher::Present => self.key(looked, Part::Head, b""),
            StringMatcher::Exact(text) => self.key(looked, Part::Whole, text.as_bytes()),
            StringMatcher::Prefix(text) => self.key(looked, Part::Head, text.as_bytes()),
            StringMatcher::Regex(regex) => self.regex(looked, regex),
        }
    }

    fn regex(&mut self, looked: &Looked, regex: &FullMatch) {
        for literals in regex.needs() {
            let any = self.draft.mark();
            for (part, text) in literals {
                self.key(looked, *part, text);
            }
            self.draft.any(any);
        }
    }
}
