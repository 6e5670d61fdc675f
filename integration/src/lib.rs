//! Tests against a real Envoy, and the demo.
//!
//! Everything a test needs around the system under test, started and owned by the test itself:
//!
//! * [`envoy`]: a real Envoy as a child process, its admin interface, its log, and `--mode validate`;
//! * [`config`]: Envoy configuration in small pieces, all of it bound to the loopback interface;
//! * [`upstream`]: echo servers that say what they received and misbehave on request;
//! * [`client`]: an HTTP/1.1 client that sends what it is told, byte for byte, and an HTTP/2 client;
//! * [`certs`]: a certificate authority with SPIFFE and DNS certificates;
//! * [`modules`]: where the built filters are;
//! * [`corpus`]: the cases of `testdata`, sent through an Envoy;
//! * [`mesh`]: a service with two versions, and an Envoy with filters in front of it;
//! * [`interpreter`]: a filter's module outside of Envoy, with its instructions and calls counted;
//! * [`markdown`]: examples, commands and links of what people read; [`readme`]: the filters that stand in it;
//! * [`differential`]: generated cases, through the filters and through Envoy's own features;
//! * [`mod@bench`]: what the filters add to a request, beside Envoy's own features;
//! * [`running`]: `mesh-policy run` as a process; [`load`]: requests that go on while something is edited;
//! * [`statistics`]: bounds by which splits and percentages are judged;
//! * [`table`]: the demo's table, and [`demo`] itself.
//!
//! The interface blocks, so a test is a plain `#[test]` function; the asynchronous parts run on one
//! runtime of their own. Nothing sleeps for a fixed time: what has to become true is waited for
//! with a bound ([`wait`]). Everything started is stopped when its value is dropped, and child
//! processes end even when the process that started them is killed.
//!
//! ```no_run
//! use mesh_policy_integration::{Result, client::{Client, Request}, config, envoy::{Envoy, Options}, upstream::Upstream};
//!
//! fn the_gateway_forwards() -> Result<()> {
//!     let customers = Upstream::builder("customers-v1-a").version("v1").start()?;
//!     let bootstrap = config::bootstrap(
//!         &[config::listener("gateway", &[], &config::route_to("customers"))],
//!         &[config::cluster("customers", &[customers.address()])],
//!     );
//!     let envoy = Envoy::start(&bootstrap, &Options::default())?;
//!     let response = Client::new(envoy.listener("gateway")?).send(&Request::get("/customers/1"))?;
//!     assert_eq!(response.status, 200);
//!     assert_eq!(response.echo()?.instance, "customers-v1-a");
//!     Ok(())
//! }
//! ```

pub mod bench;
pub mod bytes;
pub mod certs;
pub mod client;
pub mod config;
pub mod corpus;
pub mod demo;
pub mod differential;
pub mod edge;
pub mod envoy;
mod error;
pub mod interpreter;
pub mod load;
pub mod markdown;
pub mod mesh;
pub mod modules;
pub mod ports;
pub mod process;
pub mod readme;
pub mod running;
mod runtime;
pub mod sds;
pub mod statistics;
pub mod table;
pub mod tokens;
pub mod upstream;
pub mod usage;
pub mod wait;

pub use error::{Context, Error, Result};
