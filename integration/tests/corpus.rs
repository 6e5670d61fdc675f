//! Every case of the corpus through a real Envoy: once through the fused filter, once through the single ones.

use mesh_policy_integration::corpus::{self, Layout};
use mesh_policy_testkit::files::FILES;

fn run_all(layout: Layout) {
    let mut cases = 0;
    let mut failures = String::new();
    for file in FILES {
        match corpus::run(*file, layout) {
            Ok(count) => cases += count,
            Err(error) => failures += &format!("{error}\n"),
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
    assert!(cases >= 100, "only {cases} cases were run");
    println!("{cases} cases");
}

#[test]
fn every_case_comes_out_as_expected_through_the_fused_filter() {
    run_all(Layout::Fused);
}

#[test]
fn every_case_comes_out_as_expected_through_the_single_filters() {
    run_all(Layout::Separate);
}
