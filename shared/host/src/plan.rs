//! What is to be done with a request: filled by the phases, carried out by the stream.

use mesh_policy_core::effect::{FaultDecision, HeaderEdit, LocalReply};
use mesh_policy_core::request::HeaderMap;

/// What is to be done with a request. The default lets it pass untouched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan<'p> {
    /// Published for later filters and for access logs, also when the request is refused.
    pub filter_state: Vec<(&'static str, String)>,
    /// Counters to add one to, by name. A name must not be made of what a request says.
    pub counters: Vec<String>,
    /// Changes to the request, in order; not carried out when the request is answered here. Envoy selects its route anew
    /// after each of them.
    pub request_edits: Vec<HeaderEdit<'p>>,
    /// Changes to the response, in order, whoever gives it.
    pub response_edits: Vec<HeaderEdit<'p>>,
    /// Further changes to the response, behind the others; an injected abort goes without them.
    pub unaborted_response_edits: Vec<HeaderEdit<'p>>,
    /// What to inject before anything else.
    pub fault: FaultDecision,
    /// The answer to give in place of an upstream.
    pub reply: Option<LocalReply>,
}

impl Plan<'_> {
    /// Leaves out the removal of request headers that are not there: each would be a call into the proxy for nothing.
    pub(crate) fn leave_out_idle_removals(&mut self, headers: &HeaderMap<'_>) {
        let mut index = 0;
        while let Some(edit) = self.request_edits.get(index) {
            let before = self.request_edits.iter().take(index);
            if matches!(edit, HeaderEdit::Remove(name) if is_absent(name, headers, before)) {
                self.request_edits.remove(index);
            } else {
                index += 1;
            }
        }
    }
}

/// Whether there is certainly no such header once the edits `before` are carried out.
fn is_absent<'e>(
    name: &str,
    headers: &HeaderMap<'_>,
    mut before: impl Iterator<Item = &'e HeaderEdit<'e>>,
) -> bool {
    // To the proxy, `host` is the authority. Names of the map are lower case.
    let is_ordinary = name != "host" && !name.bytes().any(|byte| byte == b':' || byte.is_ascii_uppercase());
    let comes = |edit: &HeaderEdit<'_>| {
        !matches!(edit, HeaderEdit::Remove(_)) && edit.name().eq_ignore_ascii_case(name)
    };
    is_ordinary && headers.first(name).is_none() && !before.any(comes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removal_is_left_out_only_where_nothing_can_be_there() {
        let buffer = HeaderMap::write(&[(":authority", "shop"), ("there", "")]);
        let headers = HeaderMap::parse(&buffer).unwrap();
        let add = |name: &'static str| HeaderEdit::Add(name.into(), b"x".as_slice().into());
        let remove = |name: &'static str| HeaderEdit::Remove(name.into());
        let mut plan = Plan {
            request_edits: vec![
                remove("absent"),
                remove("there"),
                remove("later"),
                add("Later"),
                remove("later"),
                remove("host"),
                remove("Absent"),
                remove("absent"),
            ],
            ..Plan::default()
        };
        plan.leave_out_idle_removals(&headers);
        let kept = [remove("there"), add("Later"), remove("later"), remove("host"), remove("Absent")];
        assert_eq!(plan.request_edits, kept);
    }
}
