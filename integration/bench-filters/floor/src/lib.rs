//! The least that a filter which decides anything can do: it fetches the header map with one call, reads none of it, and
//! sets one header. Only the callbacks in `exports.txt` are exported.
//!
//! Both calls are made without the SDK's wrappers, which would copy each header.

#![expect(missing_docs, reason = "the function that the SDK's `main!` defines has none")]
#![expect(unsafe_code, reason = "foreign functions are the one way to talk to the proxy")]

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};
use std::ptr::null_mut;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_replace_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
}

const HTTP_REQUEST: u32 = 0;
const NAME: &str = "x-bench-floor";
const VALUE: &str = "outbound|80||echo.bench";

struct Root;

impl Context for Root {}

impl RootContext for Root {
    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct Stream;

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let (mut data, mut size): (*mut u8, usize) = (null_mut(), 0);
        // SAFETY: both pointers are those of live locals, which the proxy writes during the call.
        let fetched = unsafe { proxy_get_header_map_pairs(HTTP_REQUEST, &raw mut data, &raw mut size) };
        if fetched != 0 || data.is_null() {
            return Action::Pause;
        }
        // SAFETY: the proxy obtained `data` from the SDK's `proxy_on_memory_allocate(size)`, which leaks a boxed slice of
        // exactly `size` initialised bytes, and passes it on to this call alone.
        drop(unsafe { Vec::from_raw_parts(data, size, size) });
        // SAFETY: pointers and lengths are those of live strings, which the proxy only reads during the call.
        let set = unsafe {
            proxy_replace_header_map_value(
                HTTP_REQUEST,
                NAME.as_ptr(),
                NAME.len(),
                VALUE.as_ptr(),
                VALUE.len(),
            )
        };
        // A request that hangs shows in the harness; one that passes would not.
        if set == 0 { Action::Continue } else { Action::Pause }
    }
}

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Root));
}}
