//! What the core alone costs, natively: reading and compiling a configuration, and deciding about a request.
//!
//! `cargo bench -p mesh-policy-testkit` measures; `cargo test` runs each of them once.

#![expect(clippy::unwrap_used, reason = "a set that does not compile ends the bench")]

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use mesh_policy_core::request::{HeaderMap, RequestView};
use mesh_policy_istio::workload::PluginConfig;
use mesh_policy_testkit::generate::{Matcher, Probe};
use mesh_policy_testkit::scale::{self, Hit, Scenario};
use std::fmt;

fn main() {
    divan::main();
}

/// A scenario with this many rules.
struct Set(Scenario, usize);

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0.name(), self.1)
    }
}

fn sets() -> impl Iterator<Item = Set> {
    // Unoptimised, the largest would take a minute and show nothing more.
    let sizes: &[usize] = if cfg!(debug_assertions) { &[10, 100] } else { &[10, 100, 1_000, 10_000] };
    Scenario::ALL.into_iter().flat_map(|scenario| sizes.iter().map(move |rules| Set(scenario, *rules)))
}

/// From the bytes of a plugin configuration to resources.
#[divan::bench(args = sets())]
fn read(bencher: Bencher<'_, '_>, Set(scenario, rules): &Set) {
    let config = scale::plugin_config(*scenario, *rules).unwrap();
    bencher.bench(|| PluginConfig::from_json(black_box(config.as_bytes())).unwrap());
}

/// From resources, in JSON, to routes and authorization, indexed.
#[divan::bench(args = sets())]
fn read_and_compile(bencher: Bencher<'_, '_>, Set(scenario, rules): &Set) {
    let set = scale::set(*scenario, *rules);
    bencher.bench(|| Matcher::compile(black_box(&set)).unwrap());
}

/// Authorization and route of the four requests that meet the first, the middle, the last and no rule; per request.
#[divan::bench(args = sets())]
fn evaluate(bencher: Bencher<'_, '_>, Set(scenario, rules): &Set) {
    let matcher = Matcher::compile(&scale::set(*scenario, *rules)).unwrap();
    let probes: Vec<Probe> = Hit::ALL.into_iter().map(|hit| scale::request(*scenario, *rules, hit)).collect();
    let buffers: Vec<(&Probe, Vec<u8>)> = probes.iter().map(|probe| (probe, probe.header_map())).collect();
    bencher.counter(ItemsCount::new(buffers.len())).bench(|| {
        for (probe, buffer) in black_box(&buffers) {
            let headers = HeaderMap::parse(buffer).unwrap();
            black_box(matcher.decide(&RequestView::new(&headers, *probe)));
        }
    });
}
