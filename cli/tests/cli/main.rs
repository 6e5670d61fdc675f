//! The program as people use it: exact texts and exit codes.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails, also in its own functions"
)]

mod certs;
mod check;
mod command;
mod compile;
mod explain;
mod help;
mod mesh_config;
mod run;
