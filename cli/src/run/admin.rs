//! Envoy's admin interface: whether it is ready, and where it listens.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

/// An answer is short and comes from this machine: one that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(2);

/// The address that Envoy wrote to its `--admin-address-path`, once it has.
pub fn address(file: &Path) -> Option<SocketAddr> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// Whether Envoy has finished starting, and its ports are open: it calls itself ready a moment before its workers listen.
pub fn is_ready(admin: SocketAddr) -> bool {
    let listening = || stats(admin, r"^listener_manager\.workers_started$");
    get(admin, "/ready").is_some()
        && listening().is_some_and(|stats| stats.values().any(|value| value == "1"))
}

/// The addresses that Envoy listens on, by listener name.
pub fn listeners(admin: SocketAddr) -> Vec<(String, SocketAddr)> {
    let Some(text) = get(admin, "/listeners?format=json") else { return Vec::new() };
    let json: Value = serde_json::from_str(&text).unwrap_or_default();
    let statuses = json.get("listener_statuses").and_then(Value::as_array);
    statuses.into_iter().flatten().filter_map(listener).collect()
}

/// The statistics whose names match the regular expression, as Envoy prints their values; texts without their quotes.
pub fn stats(admin: SocketAddr, names: &str) -> Option<BTreeMap<String, String>> {
    let mut path = "/stats?filter=".to_owned();
    for byte in names.bytes() {
        if byte.is_ascii_alphanumeric() || b"._-".contains(&byte) {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    let text = get(admin, &path)?;
    let stat = |line: &str| {
        let (name, value) = line.rsplit_once(": ")?;
        Some((name.to_owned(), value.trim_matches('"').to_owned()))
    };
    Some(text.lines().filter_map(stat).collect())
}

fn listener(status: &Value) -> Option<(String, SocketAddr)> {
    let socket = status.pointer("/local_address/socket_address")?;
    let ip = socket.get("address")?.as_str()?.parse().ok()?;
    let port = u16::try_from(socket.get("port_value")?.as_u64()?).ok()?;
    Some((status.get("name")?.as_str()?.to_owned(), SocketAddr::new(ip, port)))
}

/// The body of an answer with status 200.
fn get(admin: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&admin, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    body(&answer)
}

fn body(answer: &str) -> Option<String> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let (status_line, headers) = head.split_once("\r\n").unwrap_or((head, ""));
    if status_line.split(' ').nth(1) != Some("200") {
        return None;
    }
    let chunked = headers.lines().any(|line| line.eq_ignore_ascii_case("transfer-encoding: chunked"));
    if chunked { unchunk(body) } else { Some(body.to_owned()) }
}

/// The chunks put together; nothing when one of them is cut.
fn unchunk(mut rest: &str) -> Option<String> {
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n")?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        let (chunk, after) = after.split_at_checked(size)?;
        body.push_str(chunk);
        rest = after.strip_prefix("\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_in_chunks_is_put_together() {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(body(&format!("{head}3\r\nLIV\r\n2\r\nE\n\r\n0\r\n\r\n")).as_deref(), Some("LIVE\n"));
        assert_eq!(body(&format!("{head}9\r\nLIV")), None);
        assert_eq!(body("HTTP/1.1 200 OK\r\n\r\nLIVE").as_deref(), Some("LIVE"));
        assert_eq!(body("HTTP/1.1 503 Service Unavailable\r\n\r\nPRE_INITIALIZING"), None);
    }
}
