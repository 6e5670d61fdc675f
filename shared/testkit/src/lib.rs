//! The corpus of cases, and the runner of its cases over the core.
//!
//! A case is resources, a request and what must come of it. The same file serves the core's tests on the host, the core's
//! tests as WebAssembly in Node, and the integration tests, which send the request through a real Envoy.

pub mod corpus;
pub mod files;
pub mod generate;
pub mod oracle;
pub mod outcome;
pub mod run;
pub mod scale;
