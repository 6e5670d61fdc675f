//! The bench works: it measures what it says, and its summary has the shape that its readers rely on. What the figures say is
//! no matter here, for a machine that runs tests is not quiet.

#![expect(clippy::unwrap_used, reason = "the functions beside the tests belong to them")]

use std::{fs, time::Duration};

use mesh_policy_integration::bench::{
    arguments::{Figures, Plan},
    rounds::Length,
    run,
    summary::{check, name},
};
use mesh_policy_testkit::scale::{Hit, Scenario};
use serde_json::{Value, json};

/// Mutual TLS, a script in Lua, and the chain of filters: all that the scenarios differ in.
const SCENARIOS: [Scenario; 3] = [Scenario::AuthzMixed, Scenario::Routes, Scenario::Policy];

fn keys(summary: &Value, scenario: Scenario, hit: Hit, key: &str) -> Vec<String> {
    let of_hit = |entry: &&Value| {
        (entry["name"].as_str(), entry["mix"].as_str(), entry["hit"].as_str())
            == (Some(name(scenario).0), Some(name(scenario).1), Some(hit.name()))
    };
    let entry = summary["scenarios"].as_array().unwrap().iter().find(of_hit).unwrap();
    entry[key].as_object().unwrap().keys().cloned().collect()
}

/// Counts need no quiet machine, so here the figures are looked at too.
#[test]
fn what_is_counted_is_written_beside_the_times_of_before() {
    if let Err(missing) = mesh_policy_integration::bench::callgrind::version() {
        eprintln!("left out: {missing}");
        return;
    }
    let output = tempfile::tempdir().unwrap();
    let file = |name: &str| output.path().join(name);
    let earlier = json!({
        "commit": "before",
        "scenarios": [{ "name": "authz", "mix": "uniform", "rules": 10, "hit": "last", "p99_us": { "wasm": 7 } }],
    });
    fs::write(file("summary.json"), earlier.to_string()).unwrap();
    let plan = Plan {
        scenarios: vec![Scenario::Authz],
        rules: vec![10],
        figures: Figures::Count,
        output: Some(output.path().to_owned()),
        ..Plan::default()
    };
    run(&plan).unwrap();

    let summary: Value = serde_json::from_str(&fs::read_to_string(file("summary.json")).unwrap()).unwrap();
    let instructions = |hit| keys(&summary, Scenario::Authz, hit, "instructions");
    assert_eq!(instructions(Hit::Last), ["bare", "fused", "lua", "native", "wasm"]);
    let middle = ["bare", "companions", "floor", "fused", "lua", "native", "noop", "wasm"];
    assert_eq!(instructions(Hit::Middle), middle);
    for entry in summary["scenarios"].as_array().unwrap() {
        let of = |candidate: &str| entry["instructions"][candidate].as_f64().unwrap();
        // A request through Envoy is some hundred thousand instructions, a filter on top of it some ten thousand.
        assert!((30e3..600e3).contains(&of("bare")), "{entry:#}");
        assert!((5e3..300e3).contains(&of("wasm")) && of("native") < of("wasm"), "{entry:#}");
        let kept = &entry["p99_us"];
        assert_eq!(kept.is_object(), entry["hit"] == "last", "{entry:#}");
    }
    assert_eq!(summary["commit"], "before");
    assert!(summary["counted"]["apart_percent"].as_f64().unwrap() < 5.0, "{}", summary["counted"]);
    let tables = fs::read_to_string(file("tables.md")).unwrap();
    assert!(tables.contains("| authz | 10 | ") && tables.contains("in thousands"), "{tables}");
    assert!(!file("bench.svg").exists());
}

#[test]
fn a_tiny_run_measures_every_candidate_and_writes_a_whole_summary() {
    let output = tempfile::tempdir().unwrap();
    let plan = Plan {
        scenarios: SCENARIOS.to_vec(),
        rules: vec![10],
        figures: Figures::Time,
        length: Length { rounds: 1, turn: Duration::from_millis(5) },
        update: false,
        output: Some(output.path().to_owned()),
    };
    run(&plan).unwrap();

    let read = |file: &str| fs::read_to_string(output.path().join(file)).unwrap();
    let mut summary: Value = serde_json::from_str(&read("summary.json")).unwrap();
    check(&summary).unwrap();
    assert_eq!(summary["scenarios"].as_array().unwrap().len(), SCENARIOS.len() * Hit::ALL.len());
    let added = |scenario, hit| keys(&summary, scenario, hit, "added_cpu_us");
    let steady = ["companions", "floor", "fused"];
    assert_eq!(added(Scenario::AuthzMixed, Hit::Middle), [&steady[..], &["native", "noop", "wasm"]].concat());
    assert_eq!(added(Scenario::Routes, Hit::Last), ["fused", "lua", "native", "wasm"]);
    assert_eq!(added(Scenario::Policy, Hit::None), ["chain", "chain3", "native", "wasm"]);

    let tables = read("tables.md");
    assert!(tables.contains("| authz-mixed (mTLS) | 10 |") && tables.contains("| policy | 10 |"), "{tables}");
    assert!(read("bench.svg").contains("mesh-policy, routes"));

    // The check is one that notices.
    summary["scenarios"][0]["cpu_us"]["native"] = Value::from(0);
    assert_eq!(check(&summary).unwrap_err().to_string(), "`scenarios[0].cpu_us.native` is 0");
    summary["scenarios"][0]["hit"] = Value::from("always");
    assert_eq!(check(&summary).unwrap_err().to_string(), "`scenarios[0].hit` is `always`");
}
