//! `summary.json`: everything that was measured.

use std::collections::BTreeMap;

use mesh_policy_testkit::scale::{Hit, Scenario};
use serde_json::{Map, Value, json};

use super::{
    bootstraps::measured_module,
    candidate::Candidate,
    counting::BATCH,
    numbers::{Spread, round},
    rounds::{self, Group, Length},
    running::CONNECTIONS,
    targets::{self, Target},
};
use crate::{
    Context, Error, Result,
    config::merge,
    modules::{Module, repository},
};

/// What the machine was and did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conditions {
    /// The version that Envoy states.
    pub envoy: String,
    /// Which core does what.
    pub cores: String,
    /// The processor's name.
    pub processor: String,
    /// How many cores others kept busy before the rounds, at most.
    pub busy_others: Option<f64>,
    /// The version of valgrind, where instructions were counted.
    pub valgrind: String,
    /// What makes the figures doubtful.
    pub warnings: Vec<String>,
}

/// The sizes of the modules in bytes, ours first.
///
/// # Errors
/// One is not built.
pub fn module_sizes() -> Result<BTreeMap<String, u64>> {
    let ours =
        Module::ALL.into_iter().map(|module| module.path().map(|path| (module.file_name().to_owned(), path)));
    let others = ["noop", "floor"].map(|name| Ok((format!("bench_{name}.wasm"), measured_module(name))));
    ours.chain(others)
        .map(|found| {
            let (name, path) = found?;
            let size =
                std::fs::metadata(&path).context(format_args!("no module at `{}`", path.display()))?.len();
            Ok((name, size))
        })
        .collect()
}

/// The commit that was measured, where there is a repository.
pub fn commit() -> Option<String> {
    let mut git = std::process::Command::new("git");
    let output = git.args(["describe", "--always", "--dirty"]).current_dir(repository()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The whole summary.
pub fn to_json(
    groups: &[Group],
    sizes: &BTreeMap<String, u64>,
    targets: &[Target],
    conditions: &Conditions,
    length: Length,
) -> Value {
    let scenarios: Vec<Value> =
        groups.iter().flat_map(|group| Hit::ALL.map(|hit| scenario(group, hit))).collect();
    let Conditions { envoy, cores, processor, busy_others, valgrind, warnings } = conditions;
    let mut summary = json!({
        "modules": sizes,
        "scenarios": scenarios,
        "targets": targets.iter().map(targets::Target::to_json).collect::<Vec<_>>(),
    });
    if groups.iter().any(Group::is_timed) {
        let times = json!({
            "commit": commit(),
            "envoy": envoy,
            "processor": processor,
            "cores": cores,
            "busy_others": busy_others.map(round),
            "rounds": length.rounds,
            "turn_ms": length.turn.as_millis() as u64,
            "connections": CONNECTIONS,
            "warnings": warnings,
        });
        merge(&mut summary, &times);
    }
    if groups.iter().any(Group::is_counted) {
        let counted = json!({
            "commit": commit(),
            "envoy": envoy,
            "valgrind": valgrind,
            "requests": BATCH.0,
            "apart_percent": round(rounds::apart(groups) * 100.0),
        });
        merge(&mut summary, &json!({ "counted": counted }));
    }
    summary
}

/// The name of a scenario without its mix.
pub fn name(scenario: Scenario) -> (&'static str, &'static str) {
    match scenario {
        Scenario::Authz => ("authz", "uniform"),
        Scenario::AuthzMixed => ("authz", "mixed"),
        Scenario::Routes => ("routes", "uniform"),
        Scenario::RoutesMixed => ("routes", "mixed"),
        Scenario::Policy => ("policy", "uniform"),
    }
}

fn scenario(group: &Group, hit: Hit) -> Value {
    let (name, mix) = name(group.scenario);
    let mut entry = json!({
        "name": name,
        "mix": mix,
        "rules": group.rules,
        "hit": hit.name(),
        "status": group.status.get(hit.name()),
        "mutual_tls": group.encrypted,
    });
    if group.is_timed() {
        merge(&mut entry, &times(group, hit));
    }
    if group.is_counted() {
        // The bare Envoy's own, and what the others add to it.
        let entries = Candidate::ALL.into_iter().filter_map(|candidate| {
            let figure = match candidate {
                Candidate::Bare => group.counts.get(candidate, hit)?.instructions,
                _ => group.counts.added(candidate, hit)?,
            };
            Some((candidate.key().to_owned(), json!(figure.round())))
        });
        merge(&mut entry, &json!({ "instructions": entries.collect::<Map<_, _>>() }));
    }
    entry
}

fn times(group: &Group, hit: Hit) -> Value {
    let each = |of: &dyn Fn(Candidate) -> Option<Value>| -> Value {
        let entries =
            group.candidates(hit).filter_map(|candidate| Some((candidate.key().to_owned(), of(candidate)?)));
        Value::Object(entries.collect::<Map<_, _>>())
    };
    // What a candidate costs to load does not depend on the request: all of them are in every entry.
    let whole = |of: &dyn Fn(Candidate) -> Option<f64>| -> Value {
        let entries = group
            .loaded
            .keys()
            .filter_map(|candidate| Some((candidate.key().to_owned(), json!(round(of(*candidate)?)))));
        Value::Object(entries.collect::<Map<_, _>>())
    };
    let added = |candidate| (candidate != Candidate::Bare).then(|| group.added(candidate, hit));
    let spread = |numbers: Vec<f64>| Spread::of(numbers).map(Spread::to_json);
    let median = |numbers: Vec<f64>| Spread::of(numbers).map(|spread| json!(round(spread.median)));
    let configured: Map<String, Value> = group
        .loaded
        .iter()
        .filter(|(_, loaded)| !loaded.configured.is_empty())
        .map(|(candidate, loaded)| {
            let times = loaded.configured.iter().map(|time| round(time.as_secs_f64() * 1e3));
            (candidate.key().to_owned(), times.collect())
        })
        .collect();
    let ratio = |one, other| group.ratio(one, other).map(Spread::to_json);
    let wasm = (Candidate::Wasm, hit);
    let alone = |other| group.ratio_alone(other).filter(|_| hit == Hit::Middle).map(Spread::to_json);
    json!({
        "cpu_us": each(&|candidate| median(group.cpu(candidate, hit))),
        "added_cpu_us": each(&|candidate| added(candidate).and_then(median)),
        "added_cpu_us_spread": each(&|candidate| added(candidate).and_then(spread)),
        "added_cpu_us_least": each(&|candidate| {
            (candidate != Candidate::Bare).then(|| group.least_added(candidate, hit))?.map(|us| json!(round(us)))
        }),
        "ratios": {
            "native_to_wasm": ratio((Candidate::Native, hit), wasm),
            "lua_to_wasm": ratio((Candidate::Lua, hit), wasm),
            "wasm_to_floor": ratio(wasm, (Candidate::Floor, Hit::Middle)),
            "wasm_to_noop": ratio(wasm, (Candidate::Noop, Hit::Middle)),
            "wasm_alone_to_floor": alone(Candidate::Floor),
            "wasm_alone_to_noop": alone(Candidate::Noop),
        },
        "throughput_rps": each(&|candidate| spread(group.throughput(candidate, hit))),
        "p50_us": each(&|candidate| group.latency_us(candidate, hit, 0.5).map(|us| json!(round(us)))),
        "p99_us": each(&|candidate| group.latency_us(candidate, hit, 0.99).map(|us| json!(round(us)))),
        "requests": each(&|candidate| Some(json!(group.requests(candidate, hit)))),
        "rss_mib": whole(&|candidate| group.rss_mib(candidate)),
        "vm_mib": whole(&|candidate| group.vm_mib(candidate)),
        "load_ms": whole(&|candidate| match candidate {
            Candidate::Bare => None,
            candidate if candidate.is_ours() => group.configure_ms(candidate),
            candidate => group.start_ms(candidate),
        }),
        "configure_ms": configured,
        "start_ms": whole(&|candidate| (candidate != Candidate::Bare).then(|| group.start_ms(candidate))?),
    })
}

/// What is wrong with a summary: a key that is missing, or a figure that cannot be.
///
/// # Errors
/// The first of them.
pub fn check(summary: &Value) -> Result<()> {
    let scenarios = summary.get("scenarios").and_then(Value::as_array).context("no `scenarios`")?;
    if scenarios.is_empty() {
        return Err(Error::new("`scenarios` is empty"));
    }
    for (index, scenario) in scenarios.iter().enumerate() {
        let at = |key: &str| format!("scenarios[{index}].{key}");
        let text = |key: &str, known: &[&str]| -> Result<()> {
            let found =
                scenario.get(key).and_then(Value::as_str).context(format_args!("no `{}`", at(key)))?;
            known.contains(&found).then_some(()).context(format_args!("`{}` is `{found}`", at(key)))
        };
        text("name", &["authz", "routes", "policy"])?;
        text("mix", &["uniform", "mixed"])?;
        text("hit", &Hit::ALL.map(Hit::name))?;
        scenario.get("rules").and_then(Value::as_u64).context(format_args!("no `{}`", at("rules")))?;
        let number = |key: &str, candidate: &str| -> Result<f64> {
            let found = scenario.get(key).and_then(|of| of.get(candidate)?.as_f64());
            found.context(format_args!("no `{}.{candidate}`", at(key)))
        };
        let positive = |key: &str, candidate: &str| -> Result<()> {
            let found = number(key, candidate)?;
            (found > 0.0).then_some(()).context(format_args!("`{}.{candidate}` is {found}", at(key)))
        };
        let is_counted = scenario.get("instructions").is_some();
        if is_counted {
            positive("instructions", "bare")?;
            number("instructions", "native")?;
            number("instructions", "wasm")?;
        }
        if is_counted && scenario.get("cpu_us").is_none() {
            continue;
        }
        let added = ["native", "wasm"].map(|candidate| ("added_cpu_us", candidate));
        let all = ["bare", "native", "wasm"].into_iter().flat_map(|candidate| {
            ["cpu_us", "p50_us", "p99_us", "rss_mib", "requests"].map(|key| (key, candidate))
        });
        for (key, candidate) in added {
            number(key, candidate)?;
        }
        for (key, candidate) in all {
            positive(key, candidate)?;
        }
        for candidate in ["native", "wasm", "noop"] {
            number("load_ms", candidate)?;
        }
    }
    let modules = summary.get("modules").and_then(Value::as_object).context("no `modules`")?;
    for module in Module::ALL {
        let size = modules.get(module.file_name()).and_then(Value::as_u64);
        size.filter(|size| *size > 8).context(format_args!("no `modules.{}`", module.file_name()))?;
    }
    let targets = summary.get("targets").and_then(Value::as_array).context("no `targets`")?;
    for (index, target) in targets.iter().enumerate() {
        for key in ["what", "target"] {
            let text = target.get(key).and_then(Value::as_str);
            text.context(format_args!("no `targets[{index}].{key}`"))?;
        }
        for (figure, verdict) in [("measured", "verdict"), ("counted", "counted_verdict")] {
            let is_there = [figure, verdict].map(|key| target.get(key).is_some_and(Value::is_string));
            let problem = format_args!("`targets[{index}].{figure}` without a verdict, or that without it");
            (is_there[0] == is_there[1]).then_some(()).context(problem)?;
        }
    }
    Ok(())
}
