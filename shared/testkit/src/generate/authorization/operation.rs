//! Operations.

use super::super::Draw;
use super::fields;
use serde_json::Value;

const PATHS: &[&str] = &[
    "/a",
    "/a*",
    "/a/*",
    "*/b",
    "*",
    "/admin",
    "/admin/*",
    "/a/{*}",
    "/a/{**}",
    "/s/{**}/c",
    "/s/{*}/c",
    "/{*}",
    "/{**}",
    "*b*",
    "/a?x",
    "/A",
    "a",
    "/a/b/{*}",
    "/admin%2Fx",
    "/public/*",
    "/a*b",
];

const HOSTS: &[&str] = &[
    "orders.shop",
    "orders.shop:*",
    "*.shop",
    "*shop",
    "ORDERS.SHOP",
    "orders.*",
    "*",
    "a.example",
    "*:80",
    "orders.shop:8080",
    "[::1]*",
];

const METHODS: &[&str] = &["GET", "POST", "get", "P*", "*T", "*", "OPTIONS", "G*T"];

const PORTS: &[&str] = &["80", "80", "8080", "0", "1"];

pub(super) fn operation(draw: &mut Draw) -> Value {
    fields(
        draw,
        &[
            ("paths", "notPaths", PATHS, 60),
            ("methods", "notMethods", METHODS, 30),
            ("hosts", "notHosts", HOSTS, 25),
            ("ports", "notPorts", PORTS, 12),
        ],
    )
}
