//! Identities of peers, as keys and as what is looked up.

use super::super::identity::{PeerMatch, SPIFFE};
use super::super::value_match::ValueMatch;
use super::Looked;
use crate::index::{Drawer, Part};

const NAMESPACE: &[u8] = b"/ns/";
const ACCOUNT: &[u8] = b"/sa/";

/// How many pairs of a namespace and an account are looked up: an identity has one, unless somebody made it otherwise.
const PAIRS: usize = 64;

impl Drawer<Looked> {
    /// What an identity must hold to match.
    pub(super) fn peer(&mut self, value: &PeerMatch) {
        let spiffe = |text: &str| format!("{SPIFFE}{text}");
        let (looked, part, text) = match value {
            PeerMatch::Principal(ValueMatch::NonEmpty) => (Looked::Peer, Part::Head, String::new()),
            PeerMatch::Principal(ValueMatch::Suffix(text)) => (Looked::Peer, Part::Tail, text.to_string()),
            PeerMatch::Principal(value) => {
                let (part, text) = value.key();
                (Looked::Peer, part, spiffe(text))
            }
            PeerMatch::Namespace { text, .. } => match text.split_once('*') {
                None if !text.contains('/') => (Looked::Namespace, Part::Whole, text.to_string()),
                Some((start, _)) if !start.contains('/') => (Looked::Namespace, Part::Head, start.to_owned()),
                _ => (Looked::Peer, Part::Head, String::new()),
            },
            PeerMatch::ServiceAccount { text, .. } => match text.split_once('/') {
                Some((namespace, name)) if !name.contains('/') => {
                    (Looked::Account, Part::Whole, format!("{namespace}/sa/{name}"))
                }
                _ => (Looked::Peer, Part::Head, String::new()),
            },
            PeerMatch::TrustDomain(ValueMatch::Exact(text)) => {
                (Looked::Peer, Part::Head, spiffe(&format!("{text}/")))
            }
            PeerMatch::TrustDomain(ValueMatch::Prefix(text)) => (Looked::Peer, Part::Head, spiffe(text)),
            PeerMatch::TrustDomain(_) => (Looked::Peer, Part::Head, spiffe("")),
        };
        self.key(&looked, part, text.as_bytes());
    }
}

/// Each text behind `/ns/`, up to the next slash: where a pattern for a namespace can begin to match.
pub(super) fn each_namespace(identity: &[u8], visit: &mut dyn FnMut(&[u8])) {
    segments(identity, NAMESPACE).for_each(|(start, length)| {
        visit(identity.get(start..start + length).unwrap_or_default());
    });
}

/// Each namespace with each account behind it, as `NAMESPACE/sa/NAME`; `None` when these are too many.
pub(super) fn each_account(identity: &[u8], visit: &mut dyn FnMut(&[u8])) -> Option<()> {
    let mut left = PAIRS;
    for (start, length) in segments(identity, NAMESPACE) {
        // The account's first slash may be the namespace's last.
        let behind = start + length;
        let rest = identity.get(behind..)?;
        for (account, name) in segments(rest, ACCOUNT) {
            left = left.checked_sub(1)?;
            let end = behind + account + name;
            if account == ACCOUNT.len() {
                visit(identity.get(start..end)?);
            } else {
                let namespace = identity.get(start..behind)?;
                let from = behind + account - ACCOUNT.len();
                visit(&[namespace, identity.get(from..end)?].concat());
            }
        }
    }
    Some(())
}

/// Where each segment that follows `mark` begins, and how long it is.
fn segments<'i>(identity: &'i [u8], mark: &'i [u8]) -> impl Iterator<Item = (usize, usize)> + 'i {
    let starts = identity.windows(mark.len()).enumerate().filter(move |(_, window)| *window == mark);
    starts.filter_map(move |(at, _)| {
        let start = at + mark.len();
        let rest = identity.get(start..)?;
        Some((start, rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len())))
    })
}
