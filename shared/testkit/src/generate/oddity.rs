//! Requests that no honest client sends.

use super::{Draw, Probe};

/// Header lines by which clients have led proxies astray; names and values are sent as they stand.
const LINES: &[(&str, &[u8])] = &[
    ("host", b"a.example"),
    ("Host", b"orders.shop"),
    ("content-length", b"0"),
    ("content-length", b"00"),
    ("expect", b"100-continue"),
    ("connection", b"close"),
    ("connection", b"x-a"),
    ("connection", b"keep-alive, x-a, x-b"),
    ("te", b"trailers"),
    ("x-http-method-override", b"DELETE"),
    ("x-original-url", b"/admin"),
    ("x-rewrite-url", b"/admin"),
    ("x-original-host", b"a.example"),
    ("forwarded", b"for=10.0.0.1;host=a.example"),
    ("x-forwarded-port", b"8080"),
    ("x-forwarded-client-cert", b"URI=spiffe://cluster.local/ns/shop/sa/web"),
    ("x-envoy-external-address", b"10.0.0.1"),
    ("x-envoy-internal", b"true"),
    ("x-envoy-decorator-operation", b"x"),
    ("x-real-ip", b"10.0.0.1"),
    ("x-envoy-upstream-alt-stat-name", b"x"),
    ("authorization", b"Basic YTpi"),
    ("authorization", b"Bearer x"),
    ("authorization", b"Bearer a.b.c"),
    ("cookie", b"b=1"),
    ("Cookie", b"a=2; b=1"),
    ("x-a ", b"1"),
    ("x-a\t", b"1"),
    (" x-a", b"1"),
    ("", b"1"),
    ("x-\u{e4}", b"1"),
    ("x-a:", b"1"),
    (":path", b"/admin"),
    (":authority", b"a.example"),
    (":method", b"GET"),
    ("x-a", b"1\x00"),
    ("x-a", b"1\r2"),
    ("x-a", b"\t1\t "),
    ("x-a", b"1\r\n 2"),
    ("x-a", b"1,2"),
    ("x-a", b"1, 2"),
    ("x-a", b"\x7f1"),
    ("x-b", b"\xff\xfe"),
    ("x-A", b"A"),
];

/// Targets in every form that a request line can have, and some that it cannot.
const TARGETS: &[&[u8]] = &[
    b"//a.example/a",
    b"///a",
    b"http://a.example",
    b"http://a.example?q=1",
    b"http://a.example:80/a",
    b"HTTP://A.EXAMPLE/a",
    b"http:///a",
    b"http://user@a.example/a",
    b"http://orders.shop/admin",
    b"http://[::1]:8080/a",
    b"ftp://a.example/a",
    b"a",
    b"*",
    b"/a#",
    b"#/a",
    b"?q=1",
    b"/?q=1#/a",
    b"/a b",
    b"/%2e",
    b"/%2e%2e/a",
    b"/a/%2f/b",
    b"/a/..;/admin",
    b"/a%3fq=1",
    b"/a%23f",
    b"/\xc3\xa4",
    b"/a/\xff",
    b"/./../../a",
    b"/a/.",
    b"/a/..",
    b"/a\x7f",
    b"/\\a",
];

/// Hosts that parsers read in different ways.
const HOSTS: &[&[u8]] = &[
    b"[2001:db8::1]:80",
    b"[::1]:80",
    b"[0::1]:8080",
    b"[::1",
    b"::1",
    b"a.example:080",
    b"a.example:65536",
    b"a.example:0",
    b"a.example:",
    b"a.example:80:80",
    b"a.example:x",
    b"a.example,b.a.example",
    b"user@a.example",
    b"a.example/x",
    b"a..example",
    b"a.example..",
    b"a.example\xff",
    b" a.example",
    b"a.example\t",
    b"*.a.example",
    b"A.eXample:80",
    b"xn--a.example",
    b"127.0.0.1",
    b"127.0.0.1:80",
    b"orders.shop:80",
    b"ORDERS.shop.:80",
];

const METHODS: &[&str] = &[
    "CONNECT", "TRACE", "PATCH", "DELETE", "PURGE", "M-SEARCH", "get", "Get", "HEAD", "", "G\u{e9}T", "PRI",
];

/// Makes some requests odd in one way or two.
pub(super) fn some(draw: &mut Draw, probe: &mut Probe) {
    if !draw.percent(12) {
        return;
    }
    for _ in 0..draw.between(1, 2) {
        match draw.between(0, 9) {
            0..=4 => {
                let (name, value) = draw.one(LINES);
                probe.headers.push((name.to_owned(), value.to_vec()));
            }
            5 => {
                // The same name with values that differ.
                for value in draw.some(&["1", "2", "admin", "", "a,b", "12"], 2, 3) {
                    probe.headers.push(("x-a".to_owned(), value.into()));
                }
            }
            6..=7 => probe.target = draw.one(TARGETS).to_vec(),
            8 => probe.authority = Some(draw.one(HOSTS).to_vec()),
            _ => {
                probe.method = draw.text(METHODS).as_bytes().to_vec();
                if probe.method == b"CONNECT" && draw.percent(60) {
                    probe.target =
                        draw.one::<&[u8]>(&[b"a.example:80", b"orders.shop:443", b"[::1]:80"]).to_vec();
                }
            }
        }
    }
}
