//! What a module exports: the callbacks of the proxy-wasm ABI, and what a filter's crate says to have them.
//!
//! They are defined in the filter's own crate, for its own type, so that the linker can drop what its `exports.txt` does not
//! list, and nothing is looked up at run time.

/// Makes a [`Filter`](crate::Filter) the filter of this module.
#[macro_export]
macro_rules! filter {
    ($filter:ty) => {
        ::std::thread_local! {
            static MODULE: ::std::cell::RefCell<$crate::Module<$filter>> =
                const { ::std::cell::RefCell::new($crate::Module::new()) };
        }

        #[unsafe(no_mangle)]
        extern "C" fn _initialize() {
            $crate::initialize();
        }

        #[unsafe(no_mangle)]
        extern "C" fn proxy_on_context_create(context: u32, parent: u32) {
            MODULE.with_borrow_mut(|module| module.create(context, parent));
        }

        #[unsafe(no_mangle)]
        extern "C" fn proxy_on_configure(root: u32, _size: usize) -> bool {
            MODULE.with_borrow_mut(|module| module.configure(root))
        }

        #[unsafe(no_mangle)]
        extern "C" fn proxy_on_tick(root: u32) {
            MODULE.with_borrow(|module| module.tick(root));
        }

        #[unsafe(no_mangle)]
        extern "C" fn proxy_on_request_headers(context: u32, _count: usize, _end: bool) -> $crate::Action {
            MODULE.with_borrow_mut(|module| module.request_headers(context))
        }

        #[unsafe(no_mangle)]
        extern "C" fn proxy_on_response_headers(context: u32, _count: usize, _end: bool) -> $crate::Action {
            MODULE.with_borrow_mut(|module| module.response_headers(context));
            $crate::Action::Continue
        }

        #[unsafe(no_mangle)]
        extern "C" fn proxy_on_delete(context: u32) {
            MODULE.with_borrow_mut(|module| module.delete(context));
        }
    };
}
