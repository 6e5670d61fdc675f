//! What each filter does for a request, counted: its instructions, its calls into the proxy, the bytes that cross over. Counts
//! are the same on every machine, however busy, so growth shows here and not in a benchmark months later.
#![expect(clippy::unwrap_used, reason = "these functions are the test")]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use mesh_policy_integration::interpreter::Interpreter;
use mesh_policy_integration::modules::{Module, repository};
use mesh_policy_testkit::scale::{self, Hit, Scenario};

/// Which filter is measured on which rules.
const MEASURED: [(Module, Scenario); 7] = [
    (Module::Authz, Scenario::Authz),
    (Module::Authz, Scenario::AuthzMixed),
    (Module::Router, Scenario::Routes),
    (Module::Router, Scenario::RoutesMixed),
    (Module::Headers, Scenario::Policy),
    (Module::Fault, Scenario::Policy),
    (Module::Policy, Scenario::Policy),
];

/// What is measured on 10 000 rules too. Reading that many takes the interpreter seconds, so it is one of them: routes and
/// authorization file their rules by the same piece.
const MANY: (Module, Scenario) = (Module::Authz, Scenario::Authz);

/// The numbers of rules that a filter is measured on.
fn sizes(module: Module, scenario: Scenario) -> impl Iterator<Item = usize> {
    let many = (MANY == (module, scenario)).then_some(10_000);
    [10, 1_000].into_iter().chain(many)
}

/// What 10 000 rules may take of a module's memory, in MiB.
const MEMORY: [(Module, Scenario, usize); 2] =
    [(Module::Authz, Scenario::Authz, 21), (Module::Router, Scenario::Routes, 15)];

/// The counts that are agreed on.
const PINNED: &str = "integration/tests/effort.txt";

/// How far the instructions of a request may move before somebody has to look, in per cent; twice as far for loading.
///
/// Debian's compiler is another release than the one that the counts are from.
fn margin() -> u64 {
    let tools = std::fs::read_to_string(repository().join(".tools/rust.env")).unwrap_or_default();
    if tools.contains("wasip1_way=debian") { 20 } else { 5 }
}

/// By what is measured: the instructions, and everything that is to be exactly so.
fn measure() -> BTreeMap<String, (u64, String)> {
    let mut counts = BTreeMap::new();
    for (module, scenario) in MEASURED {
        for rules in sizes(module, scenario) {
            let name = format!("{} {} {rules:5}", module.file_name(), scenario.name());
            let config = scale::plugin_config(scenario, rules).unwrap();
            let (mut interpreter, loading) = Interpreter::start(module, &config).unwrap();
            counts.insert(format!("{name} load  "), (loading.instructions, loading.to_string()));
            for hit in Hit::ALL {
                let request = scale::request(scenario, rules, hit);
                // The first request defines counters and takes memory that later ones use again.
                interpreter.send(&request).unwrap();
                let effort = interpreter.send(&request).unwrap();
                counts.insert(format!("{name} {:6}", hit.name()), (effort.instructions, effort.to_string()));
            }
        }
    }
    counts
}

fn read(pinned: &str) -> BTreeMap<String, (u64, String)> {
    let lines = pinned.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, rest) = line.split_once(" | ").unwrap();
            let (instructions, exact) = rest.split_once(" instructions, ").unwrap();
            (name.to_owned(), (instructions.trim().parse().unwrap(), exact.to_owned()))
        })
        .collect()
}

fn write(counts: &BTreeMap<String, (u64, String)>) -> String {
    let mut text = "# What a filter does to load a configuration, and for a request that meets the first, the middle, the last \
                    or none of its rules.\n# Written by UPDATE_EFFORT=1 cargo test -p mesh-policy-integration --test effort\n"
        .to_owned();
    for (name, (instructions, exact)) in counts {
        writeln!(text, "{name} | {instructions:9} instructions, {exact}").unwrap();
    }
    text
}

#[test]
fn no_filter_does_more_than_agreed_on() {
    let path = repository().join(PINNED);
    let counts = measure();
    if std::env::var_os("UPDATE_EFFORT").is_some() {
        std::fs::write(&path, write(&counts)).unwrap();
        return;
    }
    let pinned = read(&std::fs::read_to_string(&path).unwrap());
    let mut strange = Vec::new();
    for (name, (instructions, exact)) in &counts {
        let Some((agreed, agreed_exact)) = pinned.get(name) else {
            strange.push(format!("{name}: not in {PINNED}"));
            continue;
        };
        if exact != agreed_exact {
            strange.push(format!("{name}: {exact}\n    agreed on: {agreed_exact}"));
        }
        let margin = if name.contains("load") { margin() * 2 } else { margin() };
        if instructions.abs_diff(*agreed) * 100 > agreed * margin {
            let change = (i128::from(*instructions) - i128::from(*agreed)) * 100 / i128::from(*agreed);
            strange.push(format!("{name}: {instructions} instructions, {change:+} % against {agreed}"));
        }
    }
    assert!(
        strange.is_empty() && counts.len() == pinned.len(),
        "{}\nIf that is meant, or if it is less and is to stay so: UPDATE_EFFORT=1 cargo test -p mesh-policy-integration \
         --test effort",
        strange.join("\n")
    );
}

/// Memory that a module has taken it keeps, so what counts is the most that loading needs at a time: the text, the resources
/// and the compiled rules one after the other, never all of them at once.
#[test]
fn ten_thousand_rules_fit_into_the_memory_that_is_agreed_on() {
    // Of 30 MiB a VM, V8's code and the module take up to 11.
    for (module, scenario, most) in MEMORY {
        let config = scale::plugin_config(scenario, 10_000).unwrap();
        let (interpreter, _) = Interpreter::start(module, &config).unwrap();
        let taken = interpreter.memory().unwrap();
        assert!(taken <= most << 20, "{}: {} KiB, more than {most} MiB", scenario.name(), taken >> 10);
    }
}

/// The heart of the promise, read from what is agreed on: a thousand rules cost what ten do, and so do ten thousand.
#[test]
fn the_number_of_rules_makes_no_difference() {
    let pinned = read(&std::fs::read_to_string(repository().join(PINNED)).unwrap());
    for (module, scenario) in MEASURED {
        // Of mixed rules, ten have none that asks for the peer: so it is the last of each that are alike.
        let at = |rules: usize| {
            let name = format!("{} {} {rules:5} {:6}", module.file_name(), scenario.name(), Hit::Last.name());
            pinned.get(&name).unwrap().0
        };
        let few = at(10);
        for many in sizes(module, scenario).map(at) {
            assert!(many * 10 <= few * 13, "{}: {few} instructions grow to {many}", scenario.name());
        }
    }
}
