//! The SDK's callbacks, handed on.

use crate::abi;
use crate::filter::Filter;
use crate::host_call::LogLevel;
use crate::root::Root;
use crate::stream::Stream;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};

/// Makes `F` the filter of this module.
pub fn start<F: Filter>() {
    // The default hook writes to standard error, which a proxy does not show.
    std::panic::set_hook(Box::new(|panic| abi::log(LogLevel::Critical, &panic.to_string())));
    proxy_wasm::set_root_context(|id| Box::new(SdkRoot(Root::<F>::new(id))));
}

struct SdkRoot<F>(Root<F>);

impl<F: Filter> Context for SdkRoot<F> {}

impl<F: Filter> RootContext for SdkRoot<F> {
    fn on_configure(&mut self, _: usize) -> bool {
        self.0.configure()
    }

    fn on_tick(&mut self) {
        self.0.tick();
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(SdkStream(self.0.stream(id))))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct SdkStream<F>(Stream<F>);

impl<F> Context for SdkStream<F> {}

impl<F: Filter> HttpContext for SdkStream<F> {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        self.0.on_request()
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        self.0.on_response();
        Action::Continue
    }
}
