//! Request targets, hosts and header lines that nearly are what rules name.

use super::{Draw, Probe};

pub(super) const PATHS: &[&str] =
    &["/", "/a", "/a/", "/a/b", "/ab", "/A", "/a/b/c", "/b", "/b/1", "/b/1/c", "/a/1"];

const QUERIES: &[&str] = &[
    "q=1", "q", "q=", "q=1&q=2", "q=2&q=1", "r=1&q=1", "Q=1", "q=%31", "q=1+2", "&&q=1", "=1&q", "q=1?x",
    "q=1#f", "?q=1", "q=12", "r", "q=1&r=2", "q=2", "q;r=1", "r=a%20b", "q==1",
];

/// A path that is one of `paths`, or almost.
pub(super) fn path(draw: &mut Draw, paths: &[&'static str]) -> Vec<u8> {
    let mut path = draw.text(paths).as_bytes().to_vec();
    if draw.percent(40) {
        distort_path(draw, &mut path);
    }
    if draw.percent(35) {
        path.push(b'?');
        path.extend(draw.text(QUERIES).as_bytes());
    }
    path
}

fn distort_path(draw: &mut Draw, path: &mut Vec<u8>) {
    let at = draw.between(1, path.len().max(1)).min(path.len());
    match draw.between(0, 17) {
        0 => path.push(b'/'),
        1 => drop(path.splice(at..at, *b"/../")),
        2 => drop(path.splice(at..at, *b"/./")),
        3 => drop(path.splice(0..0, *b"/")),
        4 => drop(path.splice(at..at, *b"\\")),
        5 => drop(path.splice(at..at, *b"%2F")),
        6 => drop(path.splice(at..at, *b"%2e%2e/")),
        7 => percent_encode(path, at),
        8 => path.extend(b";x=y"),
        9 => path.extend(b"#frag"),
        10 => path.extend(b"%00"),
        11 => path.push(0xff),
        12 => path.make_ascii_uppercase(),
        13 => drop(path.pop()),
        14 => path.push(b'a'),
        15 => drop(path.splice(0..0, *b"/b/..")),
        16 => path.extend(b"%zz"),
        _ => drop(path.splice(at..at, *b"/")),
    }
    if path.is_empty() {
        path.push(b'/');
    }
}

fn percent_encode(path: &mut Vec<u8>, at: usize) {
    let at = at.min(path.len().saturating_sub(1));
    if let Some(byte) = path.get(at).copied() {
        path.splice(at..=at, format!("%{byte:02X}").into_bytes());
    }
}

/// A host that is one of `hosts`, or almost; rarely none.
pub(super) fn authority(draw: &mut Draw, hosts: &[&'static str]) -> Option<Vec<u8>> {
    let mut host = draw.text(hosts).as_bytes().to_vec();
    if draw.percent(70) {
        return Some(host);
    }
    match draw.between(0, 15) {
        0..=2 => host.make_ascii_uppercase(),
        3..=5 => host.extend(b":80"),
        6 => host.extend(b":8080"),
        7 => host.push(b'.'),
        8 => drop(host.splice(0..0, *b"x")),
        9 => drop(host.splice(0..0, *b".")),
        10 => host = b"[::1]:8080".to_vec(),
        11 => host = b"[::1]".to_vec(),
        12 => host.clear(),
        13 => host.push(b':'),
        14 => host = b"unknown.test".to_vec(),
        _ => {
            host.pop();
        }
    }
    (!draw.percent(2)).then_some(host)
}

/// Header lines of these names and values, some repeated or distorted.
pub(super) fn headers(draw: &mut Draw, names: &[&'static str], values: &[&'static str], probe: &mut Probe) {
    for _ in 0..draw.between(0, 3) {
        let mut name = draw.text(names).to_owned();
        if draw.percent(15) {
            name.make_ascii_uppercase();
        }
        let mut value = draw.text(values).as_bytes().to_vec();
        match draw.between(0, 24) {
            0 => value.push(0xff),
            1 => value.clear(),
            2 => value.make_ascii_uppercase(),
            3 => value.push(b'x'),
            4 => value.extend(b"\xc3\xa4"),
            5 => value.extend(b", "),
            _ => {}
        }
        probe.headers.push((name, value));
    }
    if draw.percent(15)
        && let Some(line) = probe.headers.first().cloned()
    {
        probe.headers.push(line);
    }
    match draw.between(0, 199) {
        0 => {
            let name = draw.text(names).to_owned();
            probe.headers.extend(std::iter::repeat_n((name, b"1".to_vec()), 80));
        }
        1 => {
            let name = draw.text(names).to_owned();
            probe.headers.extend(std::iter::repeat_n((name, b"1".to_vec()), 100));
        }
        2 => probe.headers.push((draw.text(names).to_owned(), vec![b'1'; 50_000])),
        3 => probe.headers.push((draw.text(names).to_owned(), vec![b'1'; 61_000])),
        _ => {}
    }
}

/// Rarely, makes it a request of a kind that clients seldom send.
pub(super) fn form(draw: &mut Draw, probe: &mut Probe) {
    match draw.between(0, 79) {
        0..=1 => probe.http10 = true,
        2..=3 => {
            let host = probe.authority.clone().unwrap_or_default();
            probe.target = [b"http://".as_slice(), &host, &probe.target].concat();
            probe.authority = Some(b"other.test".to_vec());
        }
        4 => {
            probe.method = b"OPTIONS".to_vec();
            probe.target = b"*".to_vec();
        }
        5 => {
            probe.http10 = true;
            probe.authority = None;
        }
        6 => {
            let host = probe.authority.clone().unwrap_or_default();
            probe.target = [b"https://".as_slice(), &host, &probe.target].concat();
        }
        _ => {}
    }
}
