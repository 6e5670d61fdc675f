//! The results as Markdown.

use std::fmt::Write as _;

use mesh_policy_testkit::scale::Hit;

use super::{
    candidate::Candidate,
    numbers::{Spread, short},
    rounds::{Group, Length},
    running::CONNECTIONS,
    summary::{Conditions, commit},
    targets::Target,
};

/// All tables, with a sentence or two on how to read each.
pub fn markdown(groups: &[Group], targets: &[Target], conditions: &Conditions, length: Length) -> String {
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
    _ = writeln!(
        text,
        "\nThe same by the rule that is met, and how many times as much the native engine adds.\n"
    );
    positions(&mut text, groups);
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
    _ = writeln!(text, "\nWhat was promised:\n");
    promises(&mut text, targets);
    text
}

fn title(group: &Group) -> String {
    format!("{}{}", group.scenario.name(), if group.encrypted { " (mTLS)" } else { "" })
}

fn added(text: &mut String, groups: &[Group]) {
    let columns = [
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
    let mut titles = vec![Candidate::Bare.key()];
    titles.extend(columns.map(Candidate::key));
    header(text, &titles);
    for group in groups {
        let bare =
            Spread::of(group.cpu(Candidate::Bare, Hit::Middle)).map_or_else(dash, |bare| short(bare.median));
        _ = write!(text, "| {} | {} | {bare} |", title(group), group.rules);
        for candidate in columns {
            _ = write!(
                text,
                " {} |",
                Spread::of(group.added(candidate, Hit::Middle)).map_or_else(dash, spread)
            );
        }
        text.push('\n');
    }
}

fn positions(text: &mut String, groups: &[Group]) {
    let titles = ["native first", "middle", "last", "none", "wasm first", "middle", "last", "none"];
    let ratios = ["native : wasm, middle", "last"];
    header(text, &[titles.as_slice(), &ratios].concat());
    for group in groups {
        _ = write!(text, "| {} | {} |", title(group), group.rules);
        for candidate in [Candidate::Native, Candidate::Wasm] {
            for hit in Hit::ALL {
                _ = write!(text, " {} |", group.least_added(candidate, hit).map_or_else(dash, short));
            }
        }
        for hit in [Hit::Middle, Hit::Last] {
            let ratio = group.ratio((Candidate::Native, hit), (Candidate::Wasm, hit));
            _ = write!(text, " {} |", ratio.map_or_else(dash, |ratio| format!("{} x", short(ratio.median))));
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

fn promises(text: &mut String, targets: &[Target]) {
    _ = writeln!(text, "| what | target | measured | |\n|---|---|---|---|");
    for target in targets {
        let Target { what, .. } = target;
        _ = writeln!(text, "| {what} | {} | {} | {} |", target.bound(), target.measured(), target.verdict());
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
