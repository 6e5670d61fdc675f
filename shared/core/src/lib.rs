//! Compiled mesh policy and its evaluators: pure, no Envoy, no clock, no randomness of its own.

pub mod authz;
pub mod control;
pub mod effect;
pub mod host_name;
mod index;
mod order;
pub mod proxy;
pub mod request;
pub mod route;
