//! Envoy's admin interface.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use serde_json::Value;

use crate::{
    Context, Error, Result,
    client::{Client, Request, Response},
    wait,
};

/// The admin interface of one Envoy.
#[derive(Debug)]
pub struct Admin {
    address: SocketAddr,
    client: Client,
}

impl Admin {
    /// The admin interface at this address.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, client: Client::new(address) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The text at this path.
    ///
    /// # Errors
    /// Any status but 200.
    pub fn get(&self, path: &str) -> Result<String> {
        self.text(&Request::get(path))
    }

    /// Posts to a path that changes something, for example `/logging?wasm=debug`.
    ///
    /// # Errors
    /// Any status but 200.
    pub fn post(&self, path: &str) -> Result<String> {
        self.text(&Request::new("POST", path))
    }

    /// The JSON at this path.
    ///
    /// # Errors
    /// Any status but 200, or an answer that is not JSON.
    pub fn json(&self, path: &str) -> Result<Value> {
        serde_json::from_str(&self.get(path)?).context(format_args!("admin `{path}`"))
    }

    /// Whether Envoy has finished starting.
    pub fn is_ready(&self) -> bool {
        // A single short try: this is what others call in a loop.
        let client = Client::new(self.address).patience(Duration::from_secs(1));
        client.get("/ready").is_ok_and(|response| response.status == 200)
    }

    /// The listeners and where they listen.
    ///
    /// # Errors
    /// The interface does not answer.
    pub fn listeners(&self) -> Result<BTreeMap<String, SocketAddr>> {
        let json = self.json("/listeners?format=json")?;
        let statuses = json.get("listener_statuses").and_then(Value::as_array);
        statuses.into_iter().flatten().map(listener).collect()
    }

    /// The counters and gauges whose names match the regular expression `filter`.
    ///
    /// # Errors
    /// The interface does not answer, or `filter` is not a regular expression.
    pub fn stats(&self, filter: &str) -> Result<BTreeMap<String, u64>> {
        let mut path = "/stats?format=text&filter=".to_owned();
        for byte in filter.bytes() {
            if byte.is_ascii_alphanumeric() {
                path.push(char::from(byte));
            } else {
                path.push_str(&format!("%{byte:02X}"));
            }
        }
        let text = self.get(&path)?;
        // Text values, and histograms with their quantiles, are not numbers and drop out here.
        let stat = |line: &str| {
            let (name, value) = line.rsplit_once(": ")?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        Ok(text.lines().filter_map(stat).collect())
    }

    /// One counter or gauge; 0 where Envoy has not counted anything under this name yet.
    ///
    /// # Errors
    /// The interface does not answer.
    pub fn stat(&self, name: &str) -> Result<u64> {
        let escaped: String = name
            .chars()
            .flat_map(|letter| {
                let literal = letter.is_ascii_alphanumeric() || letter == '_';
                (!literal).then_some('\\').into_iter().chain([letter])
            })
            .collect();
        Ok(self.stats(&format!("^{escaped}$"))?.get(name).copied().unwrap_or(0))
    }

    /// Waits until a counter or gauge has a value.
    ///
    /// # Errors
    /// It does not get it; the text says what it has.
    pub fn wait_for_stat(&self, name: &str, wanted: impl Fn(u64) -> bool) -> Result<u64> {
        let mut last = 0;
        let waited = wait::until(wait::PATIENCE, &format!("the statistic `{name}`"), || {
            last = self.stat(name).ok()?;
            wanted(last).then_some(last)
        });
        waited.context(format_args!("it is {last}"))
    }

    /// The clusters, their hosts and the hosts' health.
    ///
    /// # Errors
    /// The interface does not answer.
    pub fn clusters(&self) -> Result<Value> {
        self.json("/clusters?format=json")
    }

    /// The configuration in force.
    ///
    /// # Errors
    /// The interface does not answer.
    pub fn config_dump(&self) -> Result<Value> {
        self.json("/config_dump")
    }

    fn text(&self, request: &Request) -> Result<String> {
        let target = String::from_utf8_lossy(&request.target);
        let response: Response = self.client.send(request).context(format_args!("admin `{target}`"))?;
        if response.status == 200 {
            return Ok(response.text());
        }
        Err(Error::new(format!("admin `{target}`: {}: {}", response.status, response.text())))
    }
}

fn listener(status: &Value) -> Result<(String, SocketAddr)> {
    let read = || {
        let socket = status.pointer("/local_address/socket_address")?;
        let ip = socket.get("address")?.as_str()?.parse().ok()?;
        let port = u16::try_from(socket.get("port_value")?.as_u64()?).ok()?;
        Some((status.get("name")?.as_str()?.to_owned(), SocketAddr::new(ip, port)))
    };
    read().context(format_args!("no name and address in `{status}`"))
}
