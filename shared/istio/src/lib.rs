//! Istio resources as people write them: the wire model, and errors that name the place.
//!
//! Text (JSON, or YAML in the compiler) becomes a [`node::Node`] tree, the tree becomes typed [`resource::Resource`]s.
//! Everything that is wrong is reported in one pass as [`problem::Problems`], each with its [`path::Path`]. What a value
//! means is not judged here but where it is compiled; the path type is the same, so a problem found there reads alike.

pub use mesh_policy_document::{decode, map, node, path, problem};

pub mod authentication;
pub mod authorization_policy;
pub mod destination_rule;
pub mod gateway;
pub mod mesh_config;
pub mod resource;
pub mod service_entry;
pub mod virtual_service;
pub mod workload;
#[cfg(feature = "yaml")]
pub mod yaml;
