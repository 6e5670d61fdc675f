use std::time::Instant;

use super::*;
use crate::{
    client::{Client, Http2Client, Request},
    wait::PATIENCE,
};

fn started(name: &str) -> (Upstream, Client) {
    let upstream = Upstream::builder(name).version("v1").start().unwrap();
    let client = Client::new(upstream.address());
    (upstream, client)
}

#[test]
fn the_echo_says_what_arrived_and_who_answered() {
    let (upstream, client) = started("customers-v1-a");
    let request = Request::new("POST", "/customers?id=%C3%A9&x=1")
        .host("shop.example.com")
        .header("x-twice", "one")
        .header("x-twice", "two")
        .header("x-bytes", b"\xff\\\x80")
        .body("12345");
    let echo = client.send(&request).unwrap().echo().unwrap();
    assert_eq!((echo.instance.as_str(), echo.version.as_str()), ("customers-v1-a", "v1"));
    assert_eq!((echo.method.as_str(), echo.path.as_str()), ("POST", "/customers?id=%C3%A9&x=1"));
    assert_eq!((echo.authority.as_str(), echo.protocol.as_str()), ("shop.example.com", "HTTP/1.1"));
    assert_eq!(echo.body_length, 5);
    assert_eq!(echo.header("x-twice").as_deref(), Some("one,two"));
    assert_eq!(echo.headers.all("x-bytes").collect::<Vec<_>>(), [b"\xff\\\x80"]);
    assert_eq!(upstream.requests()[0].body, b"12345");
}

#[test]
fn both_protocols_and_their_trailers_arrive() {
    let (upstream, client) = started("customers");
    let request = Request::new("POST", "/").body("hi").trailer("x-sum", "7");
    assert_eq!(client.send(&request).unwrap().echo().unwrap().protocol, "HTTP/1.1");
    let http2 = Http2Client::connect(upstream.address()).unwrap();
    assert_eq!(http2.send(&request).unwrap().echo().unwrap().protocol, "HTTP/2.0");
    for received in upstream.requests() {
        assert_eq!(received.body, b"hi");
        assert_eq!(received.trailers.get("x-sum").as_deref(), Some("7"), "{}", received.protocol);
    }
}

#[test]
fn status_and_headers_are_answered_as_asked() {
    let upstream = Upstream::builder("a").response_header("x-from", "a").start().unwrap();
    let client = Client::new(upstream.address());
    let request = Request::get("/").header("x-echo-status", "503").header("x-echo-header", "x-more: b: c");
    let response = client.send(&request).unwrap();
    assert_eq!(response.status, 503);
    assert_eq!(response.header("x-from").as_deref(), Some("a"));
    assert_eq!(response.header("x-more").as_deref(), Some("b: c"));
    assert_eq!(client.get("/?x=1&echo-status=418").unwrap().status, 418);
}

#[test]
fn a_wish_that_cannot_be_read_is_refused() {
    let (_upstream, client) = started("a");
    let response = client.send(&Request::get("/").header("x-echo-status", "fife")).unwrap();
    assert_eq!(response.status, 400);
    assert!(response.text().starts_with("x-echo-status: `fife`: "), "{}", response.text());
    let response = client.send(&Request::get("/").header("x-echo-status", "99")).unwrap();
    assert_eq!(response.status, 400);
}

#[test]
fn the_first_tries_fail_per_key_and_then_it_works() {
    let (_upstream, client) = started("a");
    let send = |key: &str| {
        let request = Request::get("/").header("x-echo-fail-first", "2").header("x-echo-key", key);
        client.send(&request).unwrap().status
    };
    assert_eq!([send("a"), send("a"), send("b"), send("a"), send("a")], [503, 503, 503, 200, 200]);
}

#[test]
fn instances_that_share_their_tries_count_together() {
    let tries = Tries::default();
    let start = |name| Upstream::builder(name).tries(&tries).start().unwrap();
    let (one, two) = (start("one"), start("two"));
    let send =
        |upstream: &Upstream| Client::new(upstream.address()).get("/pay?echo-fail-first=1").unwrap().status;
    assert_eq!([send(&one), send(&two)], [503, 200]);
}

#[test]
fn an_answer_waits_as_long_as_asked() {
    let (_upstream, client) = started("a");
    let response = client.get("/?echo-delay-ms=150").unwrap();
    assert!(response.elapsed >= Duration::from_millis(150), "{:?}", response.elapsed);
}

#[test]
fn closing_without_an_answer_leaves_the_client_with_an_error() {
    let (upstream, client) = started("a");
    let error = client.get("/?echo-close=true").unwrap_err().to_string();
    assert_eq!(error, "the connection closed in the middle of a response, after ``");
    assert_eq!(upstream.count(), 1);
    assert_eq!(client.get("/").unwrap().status, 200);
    let http2 = Http2Client::connect(upstream.address()).unwrap();
    assert!(http2.send(&Request::get("/?echo-close=true")).is_err());
}

#[test]
fn an_instance_can_fall_ill_and_recover() {
    let upstream = Upstream::builder("a").always(500).start().unwrap();
    let client = Client::new(upstream.address());
    assert_eq!(client.get("/").unwrap().status, 500);
    upstream.always(None);
    assert_eq!(client.get("/").unwrap().status, 200);
    upstream.always(Some(502));
    assert_eq!(client.get("/?echo-status=201").unwrap().status, 502);
}

#[test]
fn requests_are_counted_per_path_and_forgotten_on_demand() {
    let (upstream, client) = started("a");
    for target in ["/a", "/a?x=1", "/b"] {
        client.get(target).unwrap();
    }
    assert_eq!((upstream.count_path("/a"), upstream.count_path("/b"), upstream.count()), (2, 1, 3));
    assert_eq!(upstream.clear().len(), 3);
    assert_eq!(upstream.count(), 0);
}

#[test]
fn waiting_for_a_request_that_does_not_come_ends_with_its_count() {
    let (upstream, client) = started("a");
    client.get("/").unwrap();
    assert_eq!(upstream.wait_for(1, PATIENCE).unwrap().len(), 1);
    let error = upstream.wait_for(2, Duration::from_millis(20)).unwrap_err().to_string();
    assert_eq!(error, "it received 1: waited 20ms in vain for 2 requests at `a`");
}

#[test]
fn grpc_gets_a_message_and_a_status_trailer() {
    let (upstream, _client) = started("a");
    let http2 = Http2Client::connect(upstream.address()).unwrap();
    let call = Request::new("POST", "/shop.Cart/Add").header("content-type", "application/grpc");
    let response = http2.send(&call).unwrap();
    assert_eq!(response.trailers.get("grpc-status").as_deref(), Some("0"));
    assert_eq!(Echo::from_grpc_body(&response.body).unwrap().path, "/shop.Cart/Add");
    let refused = http2.send(&call.header("x-echo-grpc-status", "7")).unwrap();
    assert_eq!(refused.trailers.get("grpc-status").as_deref(), Some("7"));
}

#[test]
fn a_dropped_server_listens_no_longer() {
    let (upstream, client) = started("a");
    client.get("/").unwrap();
    drop(upstream);
    let begun = Instant::now();
    while client.get("/").is_ok() {
        assert!(begun.elapsed() < PATIENCE, "still answering");
    }
    crate::wait::until_true("the port to close", || client.connect().is_err()).unwrap();
}
