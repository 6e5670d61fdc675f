//! Rules that no request can reach: legal, and never meant.

use super::condition::Condition;
use super::place::Place;
use super::request_match::{ProxyConditions, RequestMatch};
use super::string_matcher::UriMatcher;
use super::virtual_service::CompiledRule;
use mesh_policy_bytes::Configured;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use std::collections::{BTreeMap, HashMap};

/// Warns of every match that earlier ones of the same VirtualService leave nothing to.
pub(super) fn check(rules: &[CompiledRule], at: &Place<'_>, problems: &mut Problems) {
    let mut seen: HashMap<(&[Condition], &ProxyConditions), Spot, Configured> = HashMap::default();
    let mut prefixes = Prefixes::default();
    // The matches of a delegate stand in another document, and were checked there.
    for rule in rules.iter().filter(|rule| rule.delegate.is_none()) {
        for matched in &rule.matches {
            let spot = Spot { http: rule.http, matched: matched.index };
            let request = &matched.request;
            let key = (request.conditions.as_slice(), &request.proxy);
            let earlier = seen.get(&key).copied().or_else(|| prefixes.covering(request));
            if let Some(earlier) = earlier {
                problems.warning(
                    spot.place(at),
                    ProblemKind::Suspicious,
                    format!("never reached: {} takes all such requests", earlier.describe()),
                );
                continue;
            }
            seen.insert(key, spot);
            prefixes.add(request, spot);
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Spot {
    http: usize,
    matched: Option<usize>,
}

impl Spot {
    fn place(self, at: &Place<'_>) -> mesh_policy_istio::path::Path {
        let rule = at.index(self.http);
        match self.matched {
            Some(index) => rule.field("match").index(index).path(),
            None => rule.path(),
        }
    }

    fn describe(self) -> String {
        match self.matched {
            Some(index) => format!("`http[{}].match[{index}]`", self.http),
            None => format!("`http[{}]`", self.http),
        }
    }
}

/// The matches so far that ask for a path prefix and nothing else, by length, so that a look-up costs one try a length.
#[derive(Default)]
struct Prefixes<'c>(BTreeMap<usize, HashMap<&'c str, Spot, Configured>>);

impl<'c> Prefixes<'c> {
    fn add(&mut self, request: &'c RequestMatch, spot: Spot) {
        if let [Condition::Uri(UriMatcher::Prefix { prefix, ignore_case: false })] =
            request.conditions.as_slice()
            && request.proxy == ProxyConditions::default()
        {
            self.0.entry(prefix.len()).or_default().entry(prefix).or_insert(spot);
        }
    }

    fn covering(&self, request: &RequestMatch) -> Option<Spot> {
        let text = match request.conditions.first()? {
            Condition::Uri(UriMatcher::Prefix { prefix, ignore_case: false }) => prefix,
            Condition::Uri(UriMatcher::Exact { path, ignore_case: false }) => path,
            // Whatever the path is, it begins with a slash.
            Condition::Uri(_) => "/",
            _ => return None,
        };
        self.0.range(..=text.len()).find_map(|(length, spots)| spots.get(text.get(..*length)?).copied())
    }
}
