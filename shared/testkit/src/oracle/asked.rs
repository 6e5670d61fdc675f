//! A request together with what its proxy tells, or fails to tell, of its connection.

use crate::generate::{Draw, Probe, authorization::IDENTITIES};
use mesh_policy_core::request::{Attribute, Attributes};
use std::collections::BTreeMap;

/// A request, and attributes that stand in for those of an ordinary connection.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// The request.
    pub probe: Probe,
    /// What the proxy says instead, `None` for nothing.
    pub attributes: BTreeMap<Attribute, Option<Vec<u8>>>,
}

impl Attributes for Asked {
    fn attribute(&self, attribute: Attribute) -> Option<Vec<u8>> {
        match self.attributes.get(&attribute) {
            Some(said) => said.clone(),
            None => self.probe.attribute(attribute),
        }
    }
}

const ADDRESSES: &[&str] = &[
    "127.0.0.1",
    "127.0.0.2",
    "127.0.0.3",
    "10.1.2.3",
    "::1",
    "::ffff:127.0.0.1",
    "fe80::1%eth0",
    "",
    "/x.sock",
];

const TOKENS: &[&str] = &[
    r#"{"iss": "iss", "sub": "sub"}"#,
    r#"{"iss": "iss", "sub": ""}"#,
    r#"{"iss": "iss", "sub": "subx", "group": "admin"}"#,
    r#"{"sub": "sub", "group": ["1", "admin", 2]}"#,
    r#"{"group": "a", "group": "12", "aud": ["a", "b"], "scope": "read write"}"#,
    r#"{"group": {"nested": "1"}, "iss": 1, "sub": ["sub"]}"#,
    "[]",
    "{",
    "",
];

const SUBJECTS: &[&str] = &["CN=web,O=shop", "spiffe://cluster.local/ns/shop/sa/web", "web", ""];

const SERVER_NAMES: &[&str] = &["workload.test", "other.test", "work", ""];

impl Asked {
    /// `probe` with some attributes missing, odd or there.
    pub(super) fn draw(draw: &mut Draw, probe: Probe) -> Self {
        let mut asked = Self { probe, attributes: BTreeMap::new() };
        let mut say = |draw: &mut Draw, attribute, share, values: &[&'static str]| {
            if draw.percent(share) {
                let value = (!draw.percent(25)).then(|| draw.text(values).as_bytes().to_vec());
                asked.attributes.insert(attribute, value);
            }
        };
        say(draw, Attribute::DirectRemoteIp, 20, ADDRESSES);
        say(draw, Attribute::RemoteIp, 20, ADDRESSES);
        say(draw, Attribute::DestinationIp, 20, ADDRESSES);
        say(draw, Attribute::DestinationPort, 20, &["80", "8080", "080", "+80", "", "65536", "1"]);
        say(draw, Attribute::RequestedServerName, 40, SERVER_NAMES);
        say(draw, Attribute::JwtPayload, 40, TOKENS);
        say(draw, Attribute::PeerSubject, 15, SUBJECTS);
        if draw.percent(3) {
            asked.attributes.insert(Attribute::JwtPayload, Some(b"{\"iss\": \"\xff\"}".to_vec()));
        }
        for attribute in [Attribute::PeerUriSans, Attribute::PeerDnsSans] {
            if draw.percent(20) {
                asked.attributes.insert(attribute, Some(names(draw)));
            }
        }
        asked
    }
}

/// One to three names as Envoy prints them, some with a comma of their own.
fn names(draw: &mut Draw) -> Vec<u8> {
    let mut names: Vec<String> = Vec::new();
    for _ in 0..draw.between(1, 3) {
        let identity = draw.one(IDENTITIES).join(",");
        names.push(match draw.between(0, 9) {
            0 => format!("{identity}/ns/batch/sa/runner"),
            1 => format!("spiffe://evil/a,{identity}"),
            2 => format!("{identity}/"),
            3 => "spiffe://cluster.local/ns/ns/shop/x/sa/sa/web".to_owned(),
            4 => "web.shop.svc".to_owned(),
            5 => format!("spiffe://cluster.local/ns/shop/{}sa/web", "sa/x/ns/y/".repeat(draw.between(0, 12))),
            _ => identity,
        });
    }
    let mut list = names.join(",").into_bytes();
    if draw.percent(5) {
        list.push(0xff);
    }
    list
}
