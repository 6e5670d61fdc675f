//! Sources.

use super::super::Draw;
use super::fields;
use serde_json::Value;

pub(super) const PRINCIPALS: &[&str] = &[
    "cluster.local/ns/shop/sa/web",
    "td1/ns/shop/sa/web",
    "old.td/ns/shop/sa/web",
    "*",
    "cluster.local/ns/shop/*",
    "*/ns/shop/sa/web",
    "*/sa/web",
    "*web",
    "cluster.*/ns/shop/sa/web",
    "clus*/ns/shop/sa/web",
    "*.local/ns/shop/sa/web",
    "spiffe://cluster.local/ns/shop/sa/web",
    "cluster.local/ns/batch/sa/runner",
    "cluster.local*",
    "*local/ns/*",
    "Cluster.local/ns/shop/sa/web",
];

pub(super) const NAMESPACES: &[&str] =
    &["shop", "sh*", "*op", "*", "s*p", "batch", "shop/sa", "SHOP", "*o*", "shop*"];

pub(super) const ACCOUNTS: &[&str] = &["web", "shop/web", "batch/runner", "runner", "batch/web", "we"];

pub(super) const TRUST_DOMAINS: &[&str] =
    &["cluster.local", "td1", "cluster*", "*.local", "*", "old.td", "*td", "cluster.local.evil", "td*"];

pub(super) const BLOCKS: &[&str] = &[
    "127.0.0.1",
    "127.0.0.0/30",
    "127.0.0.2/32",
    "10.0.0.0/8",
    "::1",
    "127.0.0.3/31",
    "0.0.0.0/0",
    "::/0",
    "127.0.1.0/24",
    "::ffff:127.0.0.1",
];

pub(super) const REQUEST_PRINCIPALS: &[&str] = &[
    "*",
    "iss/sub",
    "iss/*",
    "*/sub",
    "iss",
    "*sub",
    "iss*",
    "iss/su*",
    "*ss/sub",
    "iss/x/sub",
    "https://id.io/*",
    "https://id.io/sub",
    "/sub",
    "iss/",
];

pub(super) fn source(draw: &mut Draw) -> Value {
    match draw.between(0, 10) {
        // Service accounts stand beside neither principals nor namespaces.
        0..=1 => fields(
            draw,
            &[
                ("serviceAccounts", "notServiceAccounts", ACCOUNTS, 80),
                ("ipBlocks", "notIpBlocks", BLOCKS, 20),
                ("trustDomains", "notTrustDomains", TRUST_DOMAINS, 20),
            ],
        ),
        2..=6 => fields(
            draw,
            &[
                ("principals", "notPrincipals", PRINCIPALS, 60),
                ("namespaces", "notNamespaces", NAMESPACES, 40),
                ("trustDomains", "notTrustDomains", TRUST_DOMAINS, 20),
                ("ipBlocks", "notIpBlocks", BLOCKS, 10),
            ],
        ),
        7..=8 => fields(
            draw,
            &[("ipBlocks", "notIpBlocks", BLOCKS, 60), ("remoteIpBlocks", "notRemoteIpBlocks", BLOCKS, 50)],
        ),
        _ => fields(
            draw,
            &[
                ("requestPrincipals", "notRequestPrincipals", REQUEST_PRINCIPALS, 60),
                ("namespaces", "notNamespaces", NAMESPACES, 30),
            ],
        ),
    }
}
