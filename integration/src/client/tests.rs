use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    thread,
    time::Duration,
};

use super::*;
use crate::upstream::Upstream;

/// A server that reads one request head, answers these bytes and closes.
fn answering(bytes: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        stream.write_all(bytes).unwrap();
    });
    address
}

fn answer(bytes: &'static [u8]) -> crate::Result<Response> {
    Client::new(answering(bytes)).get("/")
}

#[test]
fn a_request_is_sent_byte_for_byte() {
    let request = Request::new("GET", "http://a/b")
        .http10()
        .host(b"\xff")
        .header("x-a", "1")
        .header("X-A", b"\x80")
        .header("host", "second");
    assert_eq!(
        request.to_bytes("ignored"),
        b"GET http://a/b HTTP/1.0\r\nhost: \xff\r\nx-a: 1\r\nX-A: \x80\r\nhost: second\r\n\r\n"
    );
    assert_eq!(Request::get("/").without_host().to_bytes("a"), b"GET / HTTP/1.1\r\n\r\n");
}

#[test]
fn a_body_is_framed_unless_the_headers_say_how() {
    let post = Request::new("POST", "/").without_host();
    assert_eq!(post.to_bytes(""), b"POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n");
    let lying = post.clone().header("content-length", "9").body("abc");
    assert_eq!(lying.to_bytes(""), b"POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\nabc");
    let trailing = post.body("abc").trailer("x-t", "1");
    assert_eq!(
        trailing.to_bytes(""),
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n"
    );
}

#[test]
fn chunks_trailers_and_interim_responses_are_understood() {
    let response = answer(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A:  1 \r\n\r\n\
          3;ext=1\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-T: 2\r\n\r\n",
    )
    .unwrap();
    assert_eq!(response.text(), "abc0123456789");
    assert_eq!(response.header("x-a").as_deref(), Some("1"));
    assert_eq!(response.trailers.get("x-t").as_deref(), Some("2"));
}

#[test]
fn a_body_without_length_ends_with_the_connection() {
    assert_eq!(answer(b"HTTP/1.0 200 OK\r\n\r\nall of it").unwrap().text(), "all of it");
}

#[test]
fn header_lines_keep_their_order_their_case_and_their_bytes() {
    let response = answer(b"HTTP/1.1 204 No Content\r\nB: 1\r\na: \xff\r\nB: 2\r\n\r\n").unwrap();
    let lines: Vec<(&[u8], &[u8])> = vec![(b"B", b"1"), (b"a", b"\xff"), (b"B", b"2")];
    assert!(response.headers.0.iter().map(|(name, value)| (&name[..], &value[..])).eq(lines));
    assert_eq!(response.header("b").as_deref(), Some("1,2"));
}

#[test]
fn what_is_not_a_whole_response_is_an_error_that_shows_it() {
    for (bytes, expected) in [
        (b"".as_slice(), "the connection closed in the middle of a response, after ``"),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc",
            "the connection closed in the middle of a response, after `abc`",
        ),
        (b"SSH-2.0-x\r\n", "`SSH-2.0-x` is not a status line of HTTP/1"),
        (b"HTTP/1.1 abc\r\n", "`HTTP/1.1 abc` is not a status line of HTTP/1"),
        (b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", "`nonsense` is not a header line"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "`zz` is not the size of a chunk"),
    ] {
        assert_eq!(answer(bytes).unwrap_err().to_string(), expected);
    }
}

#[test]
fn head_has_no_body_whatever_its_length_says() {
    let upstream = Upstream::start("a").unwrap();
    let client = Client::new(upstream.address());
    let response = client.send(&Request::new("HEAD", "/")).unwrap();
    assert_eq!((response.status, response.body.len()), (200, 0));
    assert_eq!(client.get("/").unwrap().status, 200);
}

#[test]
fn a_server_that_says_nothing_exhausts_the_patience() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let client = Client::new(listener.local_addr().unwrap()).patience(Duration::from_millis(100));
    let error = client.get("/").unwrap_err().to_string();
    assert!(error.starts_with("receiving: "), "{error}");
}

#[test]
fn hostile_bytes_reach_the_server_as_they_are() {
    let upstream = Upstream::start("a").unwrap();
    let client = Client::new(upstream.address());
    let bytes = b"GET /\xc3\xa9 HTTP/1.1\r\nhost: a\r\nX-Bad: \xfe\xff\r\n\r\n";
    let echo = client.send_raw(bytes).unwrap().echo().unwrap();
    assert_eq!(echo.headers.all("x-bad").next().unwrap(), b"\xfe\xff");
    assert_eq!(client.send_raw("GET / HTTP/1.1\r\nbad header: 1\r\n\r\n").unwrap().status, 400);
}

#[test]
fn requests_written_at_once_are_answered_one_by_one() {
    let upstream = Upstream::start("a").unwrap();
    let mut connection = Client::new(upstream.address()).connect().unwrap();
    connection.write(b"GET /1 HTTP/1.1\r\nhost: a\r\n\r\nGET /2 HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let paths = [(); 2].map(|()| connection.read_response(false).unwrap().echo().unwrap().path);
    assert_eq!(paths, ["/1", "/2"]);
}

#[test]
fn many_requests_come_back_in_order_over_few_connections() {
    let upstream = Upstream::start("a").unwrap();
    let client = Client::new(upstream.address());
    let responses = client.send_many(2000, 8, |index| Request::get(format!("/{index}"))).unwrap();
    for (index, response) in responses.iter().enumerate() {
        assert_eq!(response.echo().unwrap().path, format!("/{index}"));
    }
    assert_eq!(upstream.count(), 2000);
}

#[test]
fn nobody_listening_is_an_error_from_the_first_request_on() {
    let address = SocketAddr::from(([127, 0, 0, 1], crate::ports::free().unwrap()));
    let error = Client::new(address).send_many(100, 4, |_| Request::get("/")).unwrap_err().to_string();
    assert!(error.contains(&format!("connecting to {address}")), "{error}");
    assert!(Http2Client::connect(address).unwrap_err().to_string().contains("connecting"));
}

#[test]
fn http2_carries_bytes_and_refuses_what_it_cannot_carry() {
    let upstream = Upstream::start("a").unwrap();
    let client = Http2Client::connect(upstream.address()).unwrap();
    let request = Request::get("/x?y=1").host("shop.example.com").header("x-bin", b"\xff");
    let echo = client.send(&request).unwrap().echo().unwrap();
    assert_eq!((echo.path.as_str(), echo.authority.as_str()), ("/x?y=1", "shop.example.com"));
    assert_eq!(echo.headers.all("x-bin").next().unwrap(), b"\xff");
    let error = client.send(&Request::get("/").header("bad name", "1")).unwrap_err();
    assert_eq!(error.to_string(), "`bad name: 1` is not a header");
}
