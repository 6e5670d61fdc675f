//! Every case of the corpus through a real Envoy: through the fused filter, the single ones, and Envoy's own.

use mesh_policy_integration::corpus::{self, Layout};
use mesh_policy_testkit::files::FILES;

fn run_all(layout: Layout) {
    let count = corpus::run(FILES, layout).unwrap_or_else(|failures| panic!("\n{failures}"));
    assert!(count.run >= 100, "only {} cases were run", count.run);
    println!("{} cases, {} left out", count.run, count.skipped);
}

#[test]
fn every_case_comes_out_as_expected_through_the_fused_filter() {
    run_all(Layout::Fused);
}

#[test]
fn every_case_comes_out_as_expected_through_the_single_filters() {
    run_all(Layout::Separate);
}

#[test]
fn every_case_comes_out_as_expected_through_envoy_itself() {
    run_all(Layout::Native);
}
