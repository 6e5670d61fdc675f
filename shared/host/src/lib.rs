//! The only crate that knows proxy-wasm: how a filter meets the proxy that runs it.
//!
//! A filter is a [`Filter`]: it compiles resources, and turns a request into a [`Plan`]. Everything else is here: reading the
//! plugin configuration, one look at the header map, attributes fetched when a rule asks, carrying out the plan, holding
//! delayed requests until a tick. On wasm32 the calls go into the proxy (`abi.rs`, the only unsafe code of the project); on
//! the host target they go into a recording stand-in ([`fake`]), so that tests drive the same phases without a proxy.
//!
//! What goes wrong while a request is judged refuses that request: 500, with the reason in the response-code details.

#[cfg(target_arch = "wasm32")]
mod abi;
#[cfg(target_arch = "wasm32")]
pub use abi::initialize;
#[cfg(not(target_arch = "wasm32"))]
pub mod fake;
#[cfg(not(target_arch = "wasm32"))]
use fake as abi;

mod address;
mod configuration;
mod content_type;
mod counters;
mod delays;
mod exports;
mod facts;
mod failure;
mod filter;
mod host_call;
mod kept;
mod module;
mod node;
pub mod phase;
mod plan;
mod protobuf;
mod reply;
mod root;
mod stream;

pub use delays::MAX_ACTIVE_FAULTS;
pub use failure::Failure;
pub use filter::Filter;
pub use host_call::{Action, HostError, LogLevel, Map, Status};
pub use module::Module;
pub use plan::Plan;
pub use root::Root;
pub use stream::Stream;
