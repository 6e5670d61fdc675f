//! The results as Markdown.

use std::fmt::Write as _;

use mesh_policy_testkit::scale::Hit;
use serde_json::Value;

use super::{
    candidate::Candidate,
    counting::BATCH,
    numbers::{Spread, short},
    rounds::{self, Group, Length},
    running::CONNECTIONS,
    summary::{Conditions, commit},
};

/// The tables of time and memory, with a sentence or two on how to read each.
pub fn times(groups: &[Group], conditions: &Conditions, length: Length) -> String {
    let mut text = String::new();
    let Conditions { envoy, cores, processor, warnings, .. } = conditions;
    _ = writeln!(
        text,
        "Commit {}, Envoy {envoy}, {processor}; {cores}. {} rounds of {} ms a candidate and request, {CONNECTIONS} \
         connections.",
        commit().unwrap_or_else(|| "unknown".to_owned()),
        length.rounds,
        length.turn.as_millis(),
    );
    for warning in warnings {
        _ = writeln!(text, "\n**Doubtful: {warning}**");
    }
    _ = writeln!(
        text,
        "\nProcessor time of Envoy that a request costs more than in a bare Envoy, in µs: median of the rounds, in \
         brackets the lower and upper quartile. The request meets the middle rule.\n"
    );
    added(&mut text, groups);
    positions(
        &mut text,
        groups,
        |group, candidate, hit| group.least_added(candidate, hit),
        |group, one, other| Some(group.ratio(one, other)?.median),
    );
    _ = writeln!(
        text,
        "\nLatency of all answers and answers in a second, with {CONNECTIONS} requests on their way at any time: what one \
         waits for includes the others. Middle rule.\n"
    );
    latencies(&mut text, groups);
    _ = writeln!(
        text,
        "\nLoading and memory. `load` is what `proxy_on_configure` takes in the slowest VM; `start` is processor time to \
         readiness beyond a bare Envoy's, compiling the module included. `memory` is that of the process; `a VM` is what it \
         has more than the Envoy with the no-op filter, by the number of VMs.\n"
    );
    loading(&mut text, groups);
    text
}

/// The tables of instructions.
pub fn counts(groups: &[Group], conditions: &Conditions) -> String {
    let mut text = String::new();
    _ = writeln!(
        text,
        "Commit {}, Envoy {}, valgrind {}. Two batches in a row, of {} requests at most, differ by {} % or less.",
        commit().unwrap_or_else(|| "unknown".to_owned()),
        conditions.envoy,
        conditions.valgrind,
        BATCH.0,
        short(rounds::apart(groups) * 100.0),
    );
    _ = writeln!(
        text,
        "\nInstructions that Envoy executes for a request in user space beyond those of a bare Envoy, in thousands. The \
         request meets the middle rule.\n"
    );
    let thousands = |count: f64| short(count / 1e3);
    columns(&mut text);
    for group in groups {
        let bare = group.counts.get(Candidate::Bare, Hit::Middle);
        let bare = bare.map_or_else(dash, |bare| thousands(bare.instructions));
        _ = write!(text, "| {} | {} | {bare} |", title(group), group.rules);
        for candidate in COLUMNS {
            let added = group.counts.added(candidate, Hit::Middle);
            _ = write!(text, " {} |", added.map_or_else(dash, thousands));
        }
        text.push('\n');
    }
    positions(
        &mut text,
        groups,
        |group, candidate, hit| Some(group.counts.added(candidate, hit)? / 1e3),
        |group, one, other| group.counts.ratio(one, other),
    );
    text
}

/// What was promised, from the summary: each figure with what it says of the promise.
pub fn promises(summary: &Value) -> String {
    let mut text = String::new();
    _ = writeln!(text, "| what | target | by time | | by instructions | |\n|---|---|---|---|---|---|");
    for target in summary.get("targets").and_then(Value::as_array).into_iter().flatten() {
        let cell = |key| target.get(key).and_then(Value::as_str).unwrap_or("-");
        let keys = ["what", "target", "measured", "verdict", "counted", "counted_verdict"];
        _ = writeln!(text, "| {} |", keys.map(cell).join(" | "));
    }
    text
}

/// What stands beside the bare Envoy.
const COLUMNS: [Candidate; 9] = [
    Candidate::Noop,
    Candidate::Floor,
    Candidate::Companions,
    Candidate::Lua,
    Candidate::Native,
    Candidate::Wasm,
    Candidate::Fused,
    Candidate::Chain,
    Candidate::Chain3,
];

fn title(group: &Group) -> String {
    format!("{}{}", group.scenario.name(), if group.encrypted { " (mTLS)" } else { "" })
}

fn columns(text: &mut String) {
    let mut titles = vec![Candidate::Bare.key()];
    titles.extend(COLUMNS.map(Candidate::key));
    header(text, &titles);
}

fn added(text: &mut String, groups: &[Group]) {
    columns(text);
    for group in groups {
        let bare =
            Spread::of(group.cpu(Candidate::Bare, Hit::Middle)).map_or_else(dash, |bare| short(bare.median));
        _ = write!(text, "| {} | {} | {bare} |", title(group), group.rules);
        for candidate in COLUMNS {
            _ = write!(
                text,
                " {} |",
                Spread::of(group.added(candidate, Hit::Middle)).map_or_else(dash, spread)
            );
        }
        text.push('\n');
    }
}

fn positions(
    text: &mut String,
    groups: &[Group],
    added: impl Fn(&Group, Candidate, Hit) -> Option<f64>,
    ratio: impl Fn(&Group, (Candidate, Hit), (Candidate, Hit)) -> Option<f64>,
) {
    _ = writeln!(
        text,
        "\nThe same by the rule that is met, and how many times as much the native engine adds.\n"
    );
    let titles = ["native first", "middle", "last", "none", "wasm first", "middle", "last", "none"];
    let ratios = ["native : wasm, middle", "last"];
    header(text, &[titles.as_slice(), &ratios].concat());
    for group in groups {
        _ = write!(text, "| {} | {} |", title(group), group.rules);
        for candidate in [Candidate::Native, Candidate::Wasm] {
            for hit in Hit::ALL {
                _ = write!(text, " {} |", added(group, candidate, hit).map_or_else(dash, short));
            }
        }
        for hit in [Hit::Middle, Hit::Last] {
            let ratio = ratio(group, (Candidate::Native, hit), (Candidate::Wasm, hit));
            _ = write!(text, " {} |", ratio.map_or_else(dash, |ratio| format!("{} x", short(ratio))));
        }
        text.push('\n');
    }
}

fn latencies(text: &mut String, groups: &[Group]) {
    let candidates = [Candidate::Bare, Candidate::Native, Candidate::Wasm];
    let titles: Vec<String> =
        candidates.iter().map(|candidate| format!("{} p50 / p99 µs, answers/s", candidate.key())).collect();
    header(text, &titles.iter().map(String::as_str).collect::<Vec<_>>());
    for group in groups {
        _ = write!(text, "| {} | {} |", title(group), group.rules);
        for candidate in candidates {
            let latency = |share| group.latency_us(candidate, Hit::Middle, share).map_or_else(dash, short);
            let rate = Spread::of(group.throughput(candidate, Hit::Middle));
            let rate = rate.map_or_else(dash, |rate| format!("{:.0}", rate.median));
            _ = write!(text, " {} / {}, {rate} |", latency(0.5), latency(0.99));
        }
        text.push('\n');
    }
}

fn loading(text: &mut String, groups: &[Group]) {
    let titles = [
        "load, ms",
        "start, ms: native",
        "wasm",
        "memory, MiB: bare",
        "noop",
        "native",
        "wasm",
        "a VM, MiB",
        "VMs",
    ];
    header(text, &titles);
    for group in groups {
        let shown = |figure: Option<f64>| figure.map_or_else(dash, short);
        let vms = group.loaded.get(&Candidate::Wasm).map_or(0, |loaded| loaded.configured.len());
        let cells = [
            title(group),
            group.rules.to_string(),
            shown(group.configure_ms(Candidate::Wasm)),
            shown(group.start_ms(Candidate::Native)),
            shown(group.start_ms(Candidate::Wasm)),
            shown(group.rss_mib(Candidate::Bare)),
            shown(group.rss_mib(Candidate::Noop)),
            shown(group.rss_mib(Candidate::Native)),
            shown(group.rss_mib(Candidate::Wasm)),
            shown(group.vm_mib(Candidate::Wasm)),
            vms.to_string(),
        ];
        _ = writeln!(text, "| {} |", cells.join(" | "));
    }
}

/// The first two columns are the scenario and its number of rules; the numbers stand right.
fn header(text: &mut String, columns: &[&str]) {
    _ = writeln!(text, "| scenario | rules | {} |", columns.join(" | "));
    _ = writeln!(text, "|---|---:|{}", "---:|".repeat(columns.len()));
}

fn spread(spread: Spread) -> String {
    format!("{} ({}..{})", short(spread.median), short(spread.lower), short(spread.upper))
}

fn dash() -> String {
    "-".to_owned()
}
