//! A stand-in for the proxy on targets that have none: tests say what it answers and look at what it was told.
//!
//! One proxy a thread, so that tests do not meet.

use crate::host_call::{HostError, LogLevel, Map};
use mesh_policy_core::request::HeaderMap;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Something that the proxy was told to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// A log line.
    Log(LogLevel, String),
    /// A header set.
    SetHeader(Map, String, Vec<u8>),
    /// A header line added.
    AddHeader(Map, String, Vec<u8>),
    /// A header removed.
    RemoveHeader(Map, String),
    /// Filter state set.
    FilterState(String, Vec<u8>),
    /// A local reply.
    LocalReply {
        /// Of the stream with this context id.
        context: u32,
        /// HTTP status.
        status: u16,
        /// Response-code details.
        details: String,
        /// Body.
        body: Vec<u8>,
        /// Headers, as name and value.
        headers: Vec<(String, Vec<u8>)>,
        /// What a gRPC client gets.
        grpc_status: u32,
    },
    /// The request with this context id goes on.
    Continue(u32),
    /// The tick period, in milliseconds.
    Tick(u32),
    /// One was added to the counter of this name.
    Count(String),
}

/// What the proxy would answer, and what it was told.
#[derive(Debug)]
pub struct Proxy {
    /// The plugin configuration.
    pub configuration: Vec<u8>,
    /// Request headers; `None` when they cannot be read.
    pub request_headers: Option<Vec<(String, Vec<u8>)>>,
    /// Properties by their path, joined with `.`.
    pub properties: BTreeMap<String, Vec<u8>>,
    /// The lowest level that is logged.
    pub log_level: LogLevel,
    /// Calls that fail, by name, with the ABI's number.
    pub failing: BTreeMap<&'static str, u32>,
    /// The stream that calls speak of.
    pub context: u32,
    /// The names of the counters, in the order in which they were defined.
    pub counters: Vec<String>,
    /// The time.
    pub now: Instant,
    /// What it was told, in order.
    pub effects: Vec<Effect>,
}

impl Default for Proxy {
    fn default() -> Self {
        Self {
            configuration: Vec::new(),
            request_headers: Some(Vec::new()),
            properties: BTreeMap::new(),
            log_level: LogLevel::Debug,
            failing: BTreeMap::new(),
            context: 0,
            counters: Vec::new(),
            now: Instant::now(),
            effects: Vec::new(),
        }
    }
}

thread_local! {
    static PROXY: RefCell<Proxy> = RefCell::default();
}

/// Looks at or changes the proxy of this thread.
pub fn with<T>(act: impl FnOnce(&mut Proxy) -> T) -> T {
    PROXY.with_borrow_mut(act)
}

/// A fresh proxy that delivers these request headers.
pub fn reset(headers: &[(&str, &[u8])]) {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect();
    with(|proxy| *proxy = Proxy { request_headers: Some(headers), ..Proxy::default() });
}

/// Takes what the proxy was told so far.
pub fn effects() -> Vec<Effect> {
    with(|proxy| std::mem::take(&mut proxy.effects))
}

/// Lets time pass.
pub fn advance(by: Duration) {
    with(|proxy| proxy.now += by);
}

fn call(name: &'static str, effect: impl FnOnce(&Proxy) -> Effect) -> Result<(), HostError> {
    with(|proxy| {
        HostError::check(name, proxy.failing.get(name).copied().unwrap_or(0))?;
        let effect = effect(proxy);
        proxy.effects.push(effect);
        Ok(())
    })
}

pub(crate) fn log(level: LogLevel, message: &str) {
    with(|proxy| proxy.effects.push(Effect::Log(level, message.to_owned())));
}

pub(crate) fn logs(level: LogLevel) -> bool {
    with(|proxy| proxy.log_level <= level)
}

pub(crate) fn plugin_configuration() -> Result<Vec<u8>, HostError> {
    Ok(with(|proxy| proxy.configuration.clone()))
}

/// What the proxy hands over.
pub(crate) type Received = Vec<u8>;

pub(crate) fn reuse(_: Received) {}

pub(crate) fn header_map(_: Map) -> Result<Received, HostError> {
    with(|proxy| match &proxy.request_headers {
        Some(headers) => Ok(HeaderMap::write(headers)),
        None => HostError::check("proxy_get_header_map_pairs", 2).map(|()| Vec::new()),
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn set_header(map: Map, name: &[u8], value: &[u8]) -> Result<(), HostError> {
    call("proxy_replace_header_map_value", |_| Effect::SetHeader(map, text(name), value.to_vec()))
}

pub(crate) fn add_header(map: Map, name: &[u8], value: &[u8]) -> Result<(), HostError> {
    call("proxy_add_header_map_value", |_| Effect::AddHeader(map, text(name), value.to_vec()))
}

pub(crate) fn remove_header(map: Map, name: &[u8]) -> Result<(), HostError> {
    call("proxy_remove_header_map_value", |_| Effect::RemoveHeader(map, text(name)))
}

pub(crate) fn property(path: &[&str]) -> Result<Option<Vec<u8>>, HostError> {
    with(|proxy| {
        HostError::check(
            "proxy_get_property",
            proxy.failing.get("proxy_get_property").copied().unwrap_or(0),
        )?;
        Ok(proxy.properties.get(&path.join(".")).cloned())
    })
}

pub(crate) fn set_filter_state(key: &str, value: &[u8]) -> Result<(), HostError> {
    call("proxy_set_property", |_| Effect::FilterState(key.to_owned(), value.to_vec()))
}

pub(crate) fn send_local_reply(
    status: u16,
    details: &str,
    body: &[u8],
    headers: &[u8],
    grpc_status: u32,
) -> Result<(), HostError> {
    let headers = HeaderMap::parse(headers)
        .map(|map| map.iter().map(|(name, value)| (text(name), value.to_vec())).collect())
        .map_err(|_| HostError { call: "proxy_send_local_response", status: crate::Status::ParseFailure })?;
    call("proxy_send_local_response", |proxy| Effect::LocalReply {
        context: proxy.context,
        status,
        details: details.to_owned(),
        body: body.to_vec(),
        headers,
        grpc_status,
    })
}

pub(crate) fn continue_request() -> Result<(), HostError> {
    call("proxy_continue_stream", |proxy| Effect::Continue(proxy.context))
}

pub(crate) fn set_effective_context(context: u32) -> Result<(), HostError> {
    with(|proxy| proxy.context = context);
    Ok(())
}

pub(crate) fn set_tick_period(milliseconds: u32) -> Result<(), HostError> {
    call("proxy_set_tick_period_milliseconds", |_| Effect::Tick(milliseconds))
}

pub(crate) fn define_counter(name: &str) -> Result<u32, HostError> {
    const CALL: &str = "proxy_define_metric";
    with(|proxy| {
        HostError::check(CALL, proxy.failing.get(CALL).copied().unwrap_or(0))?;
        proxy.counters.push(name.to_owned());
        u32::try_from(proxy.counters.len() - 1)
            .map_err(|_| HostError { call: CALL, status: crate::Status::InternalFailure })
    })
}

pub(crate) fn increment(counter: u32) -> Result<(), HostError> {
    call("proxy_increment_metric", |proxy| {
        let name = usize::try_from(counter).ok().and_then(|index| proxy.counters.get(index));
        Effect::Count(name.cloned().unwrap_or_default())
    })
}

pub(crate) fn now() -> Instant {
    with(|proxy| proxy.now)
}
