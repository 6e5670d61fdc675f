//! The rows as they happen: progress to standard error, everything into the table.

use std::fmt::Display;

use super::stop::Stop;
use crate::{
    Result,
    bytes::escape,
    client::{Host, Request, Response},
    table::{Row, Table},
};

/// What a row saw, and whether that is what it expected.
pub type Seen = (String, bool);

/// The table while it grows.
pub struct Report<'s> {
    table: Table,
    stop: &'s Stop,
}

impl<'s> Report<'s> {
    /// An empty table; `stop` ends it early.
    pub fn new(stop: &'s Stop) -> Self {
        Self { table: Table::new(), stop }
    }

    /// Says what is being done.
    pub fn progress(&self, what: &str) {
        eprintln!("demo: {what}");
    }

    /// Begins a section.
    pub fn section(&mut self, title: &str) {
        self.progress(title);
        self.table.section(title);
    }

    /// A row that judges by itself.
    pub fn judged(
        &mut self,
        example: &str,
        sent: impl Display,
        expected: impl Display,
        observe: impl FnOnce() -> Result<Seen>,
    ) -> Result<()> {
        self.stop.check()?;
        // An error is an observation: the other rows are still worth seeing.
        let (observed, ok) = observe().unwrap_or_else(|error| (first_line(&error.to_string()), false));
        self.stop.check()?;
        if !ok {
            self.progress(&format!("FAILED: {example}: expected {expected}, observed {observed}"));
        }
        self.table.push(Row {
            example: example.to_owned(),
            sent: sent.to_string(),
            expected: expected.to_string(),
            observed,
            ok,
        });
        Ok(())
    }

    /// A row that expects exactly this.
    pub fn exact(
        &mut self,
        example: &str,
        sent: impl Display,
        expected: &str,
        observe: impl FnOnce() -> Result<String>,
    ) -> Result<()> {
        self.judged(example, sent, expected, || {
            let observed = observe()?;
            let ok = observed == expected;
            Ok((observed, ok))
        })
    }

    /// A row of one request, judged by [`outcome`].
    pub fn request(
        &mut self,
        example: &str,
        request: &Request,
        expected: &str,
        send: impl FnOnce(&Request) -> Result<Response>,
    ) -> Result<()> {
        self.exact(example, words(request), expected, || Ok(outcome(&send(request)?)))
    }

    /// The table, complete.
    pub fn into_table(self) -> Table {
        self.table
    }
}

/// Whose answer it is: `200 from v2`, or `404` where Envoy answered itself.
pub fn outcome(response: &Response) -> String {
    let status = response.status;
    match response.echo() {
        Ok(echo) => {
            format!("{status} from {}", if echo.version.is_empty() { echo.instance } else { echo.version })
        }
        Err(_) => status.to_string(),
    }
}

/// The same where the proxy may end the connection instead: `no answer`.
pub fn answer(response: Result<Response>) -> String {
    response.map_or_else(|_| "no answer".to_owned(), |response| outcome(&response))
}

/// A request in the words of its wire: `GET /path  name: value`.
pub fn words(request: &Request) -> String {
    let Request { method, target, host, headers, .. } = request;
    let host = match host {
        Host::Bytes(host) => escape(host),
        Host::Address | Host::Absent => String::new(),
    };
    let mut text = format!("{} {host}{}", escape(method), escape(target));
    for (name, value) in &headers.0 {
        text.push_str(&format!("  {}: {}", escape(name), escape(value)));
    }
    text
}

fn first_line(text: &str) -> String {
    const LONGEST: usize = 120;
    let line = text.lines().next().unwrap_or_default();
    let mut short: String = line.chars().take(LONGEST).collect();
    if short.len() < line.len() {
        short.push_str("..");
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_reads_as_it_is_sent() {
        let request = Request::new("POST", "/a?b").host("dev.example.com").header("x-team", b"\xff");
        assert_eq!(words(&request), r"POST dev.example.com/a?b  x-team: \xff");
        assert_eq!(words(&Request::get("/")), "GET /");
    }

    #[test]
    fn an_error_takes_one_short_line() {
        assert_eq!(first_line("short\nmore"), "short");
        assert_eq!(first_line(&"é".repeat(200)), format!("{}..", "é".repeat(120)));
    }
}
