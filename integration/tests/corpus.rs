//! Every case of the corpus through a real Envoy: through the fused filter, the single ones, and Envoy's own.

use mesh_policy_integration::corpus::{self, Count, Layout};
use mesh_policy_testkit::files::FILES;

fn run_all(layout: Layout) {
    let (count, failures) = match corpus::run(FILES, layout) {
        Ok(count) => (count, String::new()),
        Err(failures) => (Count::default(), failures.to_string()),
    };
    assert!(failures.is_empty(), "\n{failures}");
    assert!(count.run >= 700, "only {} cases were run", count.run);
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
