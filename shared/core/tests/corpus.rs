//! Every case of the corpus, over the core alone.

use mesh_policy_testkit::{files::FILES, run};

#[test]
fn every_case_of_the_corpus_comes_out_as_expected() {
    let mut run_cases = 0;
    let mut failures = String::new();
    for file in FILES {
        match run::file(*file) {
            Ok(count) => run_cases += count,
            Err(text) => failures += &text,
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
    assert!(run_cases >= 1000, "only {run_cases} cases were run");
    println!("{run_cases} cases");
}
