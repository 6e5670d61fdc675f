//! The calls into the proxy: the only unsafe code of the project, kept to one file so that it can be reviewed as a whole.
//!
//! The SDK's wrappers stop the module on every status that they do not expect, and some on values that are not UTF-8;
//! these give every status back and know bytes only.
//!
//! Memory that the proxy fills is handed out by [`proxy_on_memory_allocate`] and taken over by the call that asked.
#![expect(unsafe_code, reason = "foreign functions are the one way to talk to the proxy")]

use crate::host_call::{HostError, LogLevel, Map, Status};
use std::cell::Cell;
use std::ops::Deref;
use std::ptr::null_mut;
use std::time::Instant;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: u32, message: *const u8, message_size: usize) -> u32;
    fn proxy_get_log_level(level: *mut u32) -> u32;
    fn proxy_get_buffer_bytes(
        buffer: u32,
        start: usize,
        max_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_replace_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_add_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_remove_header_map_value(map: u32, name: *const u8, name_size: usize) -> u32;
    fn proxy_get_property(path: *const u8, path_size: usize, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_set_property(path: *const u8, path_size: usize, value: *const u8, value_size: usize) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> u32;
    fn proxy_continue_stream(stream: u32) -> u32;
    fn proxy_set_effective_context(context: u32) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, name_size: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, offset: i64) -> u32;
}

const PLUGIN_CONFIGURATION: u32 = 7;
const HTTP_REQUEST: u32 = 0;
const COUNTER: u32 = 0;

/// The ABI that the module speaks.
///
/// Envoy goes by it in one thing that routing hangs on: for a module of this version or an older one, each change of a request
/// header makes it forget the route that it selected and select it anew, so nothing has to ask for that. For a later version it
/// would keep the route that was selected before we said where the request goes.
#[unsafe(no_mangle)]
extern "C" fn proxy_abi_version_0_2_1() {}

unsafe extern "C" {
    /// The constructors of the module, put together by the linker.
    fn __wasm_call_ctors();
}

/// Prepares the module: to be called once, before anything else.
pub fn initialize() {
    // SAFETY: the linker defines it, and the proxy calls what calls this once.
    unsafe { __wasm_call_ctors() };
    // The default hook writes to standard error, which a proxy does not show.
    std::panic::set_hook(Box::new(|panic| log(LogLevel::Critical, &panic.to_string())));
}

/// Spare memory above this is given back: a plugin configuration is read once.
const MOST_SPARE: usize = 1 << 16;

thread_local! {
    /// Memory for the next thing that the proxy hands over: nearly always a header map, so the same one serves all requests.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    /// What the proxy was given last, until the call that it was for takes it over.
    static LENT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Memory of `size` bytes, which the proxy fills.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    let mut memory = SPARE.take();
    if memory.len() < size {
        memory = vec![0; size];
    }
    let start = memory.as_mut_ptr();
    // What nobody took over goes here: at most one piece of memory is ever lost sight of.
    LENT.set(memory);
    start
}

/// Gives memory back, so that it serves the next request.
pub fn reuse(memory: Received) {
    let Received { memory, .. } = memory;
    if memory.len() <= MOST_SPARE {
        SPARE.set(memory);
    }
}

/// What the proxy handed over.
#[derive(Debug)]
pub struct Received {
    memory: Vec<u8>,
    size: usize,
}

impl Received {
    /// The bytes in memory of their own size.
    fn into_vec(self) -> Vec<u8> {
        let Self { mut memory, size } = self;
        memory.truncate(size);
        memory
    }
}

impl Deref for Received {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.memory.get(..self.size).unwrap_or_default()
    }
}

/// Makes a call that hands over memory, and takes that memory.
fn receive(
    name: &'static str,
    call: impl FnOnce(*mut *mut u8, *mut usize) -> u32,
) -> Result<Received, HostError> {
    let mut data: *mut u8 = null_mut();
    let mut size: usize = 0;
    HostError::check(name, call(&raw mut data, &raw mut size))?;
    if data.is_null() {
        return Ok(Received { memory: Vec::new(), size: 0 });
    }
    let memory = LENT.take();
    if memory.as_ptr() != data.cast_const() || memory.len() < size {
        return Err(HostError { call: name, status: Status::InvalidMemoryAccess });
    }
    Ok(Received { memory, size })
}

/// Writes a line into the proxy's log, which drops it when the level is off.
pub fn log(level: LogLevel, message: &str) {
    // SAFETY: pointer and length are those of a live string, which the proxy only reads during the call. A line that
    // cannot be written has nowhere to be reported.
    let _status = unsafe { proxy_log(level as u32, message.as_ptr(), message.len()) };
}

/// Whether a line of this level would be written: asked before a line is put together for each request.
pub fn logs(level: LogLevel) -> bool {
    let mut lowest: u32 = 0;
    // SAFETY: the proxy writes one 32-bit number to the pointer, which is that of a live local.
    let status = unsafe { proxy_get_log_level(&raw mut lowest) };
    status == 0 && lowest <= level as u32
}

/// The whole plugin configuration.
pub fn plugin_configuration() -> Result<Vec<u8>, HostError> {
    let received = receive("proxy_get_buffer_bytes", |data, size| {
        // SAFETY: both pointers are those of live locals of `receive`.
        unsafe { proxy_get_buffer_bytes(PLUGIN_CONFIGURATION, 0, usize::MAX, data, size) }
    });
    received.map(Received::into_vec)
}

/// A whole header map in the layout of the ABI.
pub fn header_map(map: Map) -> Result<Received, HostError> {
    receive("proxy_get_header_map_pairs", |data, size| {
        // SAFETY: both pointers are those of live locals of `receive`.
        unsafe { proxy_get_header_map_pairs(map as u32, data, size) }
    })
}

/// Replaces all lines of a header by one.
pub fn set_header(map: Map, name: &[u8], value: &[u8]) -> Result<(), HostError> {
    // SAFETY: pointers and lengths are those of live slices, which the proxy only reads during the call.
    let status = unsafe {
        proxy_replace_header_map_value(map as u32, name.as_ptr(), name.len(), value.as_ptr(), value.len())
    };
    HostError::check("proxy_replace_header_map_value", status)
}

/// Appends a line.
pub fn add_header(map: Map, name: &[u8], value: &[u8]) -> Result<(), HostError> {
    // SAFETY: as in `set_header`.
    let status = unsafe {
        proxy_add_header_map_value(map as u32, name.as_ptr(), name.len(), value.as_ptr(), value.len())
    };
    HostError::check("proxy_add_header_map_value", status)
}

/// Deletes all lines of a header.
pub fn remove_header(map: Map, name: &[u8]) -> Result<(), HostError> {
    // SAFETY: as in `set_header`.
    let status = unsafe { proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) };
    HostError::check("proxy_remove_header_map_value", status)
}

/// A property of the request, the connection or the node; `None` when there is none.
pub fn property(path: &[&str]) -> Result<Option<Vec<u8>>, HostError> {
    let path = path.join("\0");
    let answer = receive("proxy_get_property", |data, size| {
        // SAFETY: `path` lives through the call and is only read; both other pointers are those of live locals of
        // `receive`.
        unsafe { proxy_get_property(path.as_ptr(), path.len(), data, size) }
    });
    match answer {
        Ok(value) => Ok(Some(value.into_vec())),
        Err(HostError { status: Status::NotFound, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Sets the filter state `key` of this request.
pub fn set_filter_state(key: &str, value: &[u8]) -> Result<(), HostError> {
    // SAFETY: as in `set_header`.
    let status = unsafe { proxy_set_property(key.as_ptr(), key.len(), value.as_ptr(), value.len()) };
    HostError::check("proxy_set_property", status)
}

/// Answers the request at hand; `headers` in the layout of the ABI.
pub fn send_local_reply(
    status: u16,
    details: &str,
    body: &[u8],
    headers: &[u8],
    grpc_status: u32,
) -> Result<(), HostError> {
    let grpc_status = i32::try_from(grpc_status).unwrap_or(i32::MAX);
    // SAFETY: as in `set_header`.
    let status = unsafe {
        proxy_send_local_response(
            u32::from(status),
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            grpc_status,
        )
    };
    HostError::check("proxy_send_local_response", status)
}

/// Lets the request of the effective context go on.
pub fn continue_request() -> Result<(), HostError> {
    // SAFETY: no memory is passed.
    HostError::check("proxy_continue_stream", unsafe { proxy_continue_stream(HTTP_REQUEST) })
}

/// Makes the following calls speak of the stream `context`.
pub fn set_effective_context(context: u32) -> Result<(), HostError> {
    // SAFETY: no memory is passed.
    HostError::check("proxy_set_effective_context", unsafe { proxy_set_effective_context(context) })
}

/// Has the root context called every `milliseconds`; 0 stops that.
pub fn set_tick_period(milliseconds: u32) -> Result<(), HostError> {
    // SAFETY: no memory is passed.
    let status = unsafe { proxy_set_tick_period_milliseconds(milliseconds) };
    HostError::check("proxy_set_tick_period_milliseconds", status)
}

/// A counter of this name in the proxy's statistics; the same one for the same name.
pub fn define_counter(name: &str) -> Result<u32, HostError> {
    let mut id: u32 = 0;
    // SAFETY: pointer and length are those of a live string, which the proxy only reads; it writes one 32-bit number to
    // the last pointer, which is that of a live local.
    let status = unsafe { proxy_define_metric(COUNTER, name.as_ptr(), name.len(), &raw mut id) };
    HostError::check("proxy_define_metric", status).map(|()| id)
}

/// Adds one to a counter.
pub fn increment(counter: u32) -> Result<(), HostError> {
    // SAFETY: no memory is passed.
    HostError::check("proxy_increment_metric", unsafe { proxy_increment_metric(counter, 1) })
}

/// A clock that never goes back.
pub fn now() -> Instant {
    Instant::now()
}
