//! `make bench`: what the filters add to a request, in real Envoys, beside Envoy's own features.
//!
//! [`rounds`] says how time is measured, [`counting`] how instructions are counted, [`candidate`] of what; [`bootstraps`] makes the same resources into the configuration of
//! each candidate, [`ends`] sends and answers the requests, [`summary`], [`tables`] and [`plot`] say what came of it.

pub mod arguments;
pub mod bootstraps;
pub mod callgrind;
pub mod candidate;
pub mod cores;
pub mod counting;
pub mod ends;
mod jobs;
mod kept;
mod loading;
mod lua;
pub mod numbers;
pub mod plot;
pub mod requests;
pub mod rounds;
pub mod running;
mod sections;
pub mod summary;
pub mod tables;
pub mod targets;

use std::{
    collections::BTreeMap,
    env, fs,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use mesh_policy_testkit::scale::{Hit, Scenario};

use self::{
    arguments::{Arguments, Figures, HELP, Plan},
    candidate::Candidate,
    cores::Cores,
    counting::Counted,
    numbers::Spread,
    rounds::Group,
    running::Running,
    sections::Section,
    summary::Conditions,
};
use crate::{Context, Result, certs::Authority, envoy, modules::repository, process};

/// Others who keep more than this share of a core busy disturb what is measured.
const QUIET_OTHERS: f64 = 0.1;

/// The middle half of the bare Envoy's rounds should not be wider than this share of their median.
const QUIET_WIDTH: f64 = 0.15;

/// How many Envoys are counted at a time: their memory is dear, for valgrind multiplies it.
const COUNTED_AT_A_TIME: usize = 2;

/// Measures as the command line says.
pub fn main() -> ExitCode {
    match Arguments::read(env::args().skip(1)) {
        Ok(Arguments::Help) => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        Ok(Arguments::Run(plan)) => match run(&plan) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        },
        Err(text) => {
            eprintln!("error: {text}\n\n{HELP}");
            ExitCode::from(2)
        }
    }
}

/// Measures and writes down what came of it.
///
/// # Errors
/// Something does not start or answers wrongly, or the results cannot be written.
pub fn run(plan: &Plan) -> Result<()> {
    let output = plan.output.clone().unwrap_or_else(|| repository().join("target/bench"));
    fs::create_dir_all(&output).context(format_args!("creating `{}`", output.display()))?;
    let sizes = summary::module_sizes()?;
    let mut conditions = conditions()?;
    let figures = countable(plan.figures, &mut conditions)?;
    let mut groups = Vec::new();
    // First of all: measuring time moves this thread to a core of its own.
    let counted = if figures == Figures::Time { Vec::new() } else { count(plan)? };
    if figures != Figures::Count {
        groups = measure(plan, &mut conditions)?;
    }
    for (scenario, rules, counted) in counted {
        let same = |group: &&mut Group| group.scenario == scenario && group.rules == rules;
        match groups.iter_mut().find(same) {
            Some(group) => group.counts = counted.counts,
            None => groups.push(Group::counted(scenario, rules, counted)),
        }
    }
    report(plan, figures, &groups, &sizes, &conditions, &output)
}

/// Writes what came of it, and keeps what was not measured now.
fn report(
    plan: &Plan,
    figures: Figures,
    groups: &[Group],
    sizes: &BTreeMap<String, u64>,
    conditions: &Conditions,
    output: &Path,
) -> Result<()> {
    let targets = targets::of(groups, sizes);
    let mut summary = summary::to_json(groups, sizes, &targets, conditions, plan.length);
    let earlier = fs::read_to_string(output.join("summary.json")).ok();
    if let Some(earlier) = earlier.and_then(|text| serde_json::from_str(&text).ok()) {
        kept::keep(&mut summary, &earlier, figures);
    }
    let mut sections = Vec::new();
    if figures != Figures::Count {
        sections.push((Section::Times, tables::times(groups, conditions, plan.length)));
    }
    if figures != Figures::Time {
        sections.push((Section::Counts, tables::counts(groups, conditions)));
    }
    sections.push((Section::Promises, tables::promises(&summary)));
    let put = |text: String| sections.iter().fold(text, |text, (section, body)| section.put(&text, body));

    let tables = output.join("tables.md");
    let earlier = fs::read_to_string(&tables).unwrap_or_default();
    write(&output.join("summary.json"), &format!("{summary:#}\n"))?;
    write(&tables, &put(if Section::Promises.is_in(&earlier) { earlier } else { String::new() }))?;
    print!("{}", sections.iter().map(|(_, body)| body.as_str()).collect::<Vec<_>>().join("\n"));
    let picture = (figures != Figures::Count)
        .then(|| plot::svg(&plot::series(groups), !conditions.warnings.is_empty()));
    if let Some(picture) = &picture {
        write(&output.join("bench.svg"), picture)?;
    }
    eprintln!("written: summary.json, tables.md and bench.svg in {}", output.display());
    if plan.update {
        let docs = repository().join("docs");
        let path = docs.join("performance.md");
        write(&path, &put(fs::read_to_string(&path).unwrap_or_else(|_| "# Speed\n".to_owned())))?;
        if let Some(picture) = &picture {
            write(&docs.join("bench.svg"), picture)?;
        }
        eprintln!("updated: docs/performance.md and docs/bench.svg");
    }
    Ok(())
}

/// What can be measured of what is asked for: without valgrind nothing is counted, which is an error only where nothing else
/// is wanted.
fn countable(figures: Figures, conditions: &mut Conditions) -> Result<Figures> {
    if figures == Figures::Time {
        return Ok(figures);
    }
    match callgrind::version() {
        Ok(version) => {
            conditions.valgrind = version;
            Ok(figures)
        }
        Err(error) if figures == Figures::Both => {
            eprintln!("warning: only time is measured: {error}");
            Ok(Figures::Time)
        }
        Err(error) => Err(error),
    }
}

/// Counts the instructions of everything that is planned.
fn count(plan: &Plan) -> Result<Vec<(Scenario, usize, Counted)>> {
    let authority = Authority::new("bench")?;
    let mut sets: Vec<(Scenario, usize)> = plan
        .scenarios
        .iter()
        .flat_map(|scenario| plan.rules.iter().map(|rules| (*scenario, *rules)))
        .collect();
    // The long ones first, so that none of them is left alone at the end.
    sets.sort_by_key(|(_, rules)| std::cmp::Reverse(*rules));
    let (begun, total) = (Instant::now(), sets.len());
    let mut counted = jobs::side_by_side(&sets, COUNTED_AT_A_TIME, |index, (scenario, rules)| {
        let what = format!("[{}/{total}] {}, {rules} rules", index + 1, scenario.name());
        eprintln!("{what}: counting");
        let counted = Counted::count(*scenario, *rules, &authority).context(&what)?;
        let apart = counted.counts.apart();
        if apart > counting::ALIKE {
            eprintln!("warning: {what}: batches of requests differ by {:.1} %", apart * 100.0);
        }
        eprintln!("{what}: counted, {:.0} s since the first", begun.elapsed().as_secs_f64());
        Ok((*scenario, *rules, counted))
    })?;
    counted
        .sort_by_key(|(scenario, rules, _)| (plan.scenarios.iter().position(|one| one == scenario), *rules));
    eprintln!("counted in {:.0} s", begun.elapsed().as_secs_f64());
    Ok(counted)
}

fn conditions() -> Result<Conditions> {
    let mut envoy = std::process::Command::new(envoy::find()?);
    let (_, version) = process::run("envoy --version", envoy.arg("--version"), crate::wait::PATIENCE)?;
    // `/path/to/envoy  version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL`
    let version = version.split("version: ").nth(1).and_then(|words| words.split('/').nth(1));
    let version = version.unwrap_or("unknown").to_owned();
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = processor.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let processor = processor.unwrap_or("unknown processor").to_owned();
    Ok(Conditions { envoy: version, processor, ..Conditions::default() })
}

fn measure(plan: &Plan, conditions: &mut Conditions) -> Result<Vec<Group>> {
    let cores = Cores::split()?;
    conditions.cores = cores.describe();
    let authority = Authority::new("bench")?;
    let total = plan.scenarios.len() * plan.rules.len();
    let mut groups: Vec<Group> = Vec::new();
    let (mut widths, mut others) = (Vec::new(), Vec::new());
    let begun = Instant::now();
    for scenario in &plan.scenarios {
        for rules in &plan.rules {
            let what = format!("[{}/{total}] {}, {rules} rules", groups.len() + 1, scenario.name());
            eprintln!("{what}: starting the Envoys{}", left(begun.elapsed(), groups.len(), total));
            let mut running = Running::start(*scenario, *rules, cores, &authority).context(&what)?;
            if let Some(cores) = running.others()? {
                if cores > QUIET_OTHERS {
                    eprintln!("warning: {what}: others keep {cores:.1} cores busy: figures will be doubtful");
                }
                others.push(cores);
            }
            let group = Group::measure(*scenario, *rules, &mut running, plan.length, |round| {
                eprintln!("{what}: round {round} of {}", plan.length.rounds);
            });
            let group = group.context(&what)?;
            if let Some(spread) = Spread::of(group.cpu(Candidate::Bare, Hit::Middle)) {
                let width = spread.width();
                if width > QUIET_WIDTH {
                    eprintln!(
                        "warning: {what}: the bare Envoy's rounds spread by {:.0} %: not quiet",
                        width * 100.0
                    );
                }
                widths.push(width);
            }
            eprintln!("{what}: {}", short(&group));
            groups.push(group);
        }
    }
    conditions.busy_others = most(&others);
    for (figures, limit, what) in [
        (&others, QUIET_OTHERS, "others kept a core busy before the rounds: for"),
        (&widths, QUIET_WIDTH, "the bare Envoy's rounds spread: by"),
    ] {
        let (most, restless) = (most(figures), figures.iter().filter(|figure| **figure > limit).count());
        if let Some(most) = most.filter(|_| restless > 0) {
            let (most, limit) = (most * 100.0, limit * 100.0);
            conditions.warnings.push(format!(
                "the machine was not quiet: {what} up to {most:.0} %, in {restless} of {total} sets of rules more than {limit:.0} %"
            ));
        }
    }
    eprintln!("measured in {:.0} s", begun.elapsed().as_secs_f64());
    Ok(groups)
}

/// How long the rest will take if it goes on like this.
fn left(elapsed: Duration, done: usize, total: usize) -> String {
    if done == 0 {
        return String::new();
    }
    let rest = elapsed.mul_f64((total - done) as f64 / done as f64);
    format!(", about {:.0} s left", rest.as_secs_f64())
}

/// One line on a group.
fn short(group: &Group) -> String {
    let added = group.candidates(Hit::Middle).filter(|candidate| *candidate != Candidate::Bare).filter_map(
        |candidate| {
            let median = Spread::of(group.added(candidate, Hit::Middle))?.median;
            Some(format!("{} {}", candidate.key(), numbers::short(median)))
        },
    );
    format!("added µs: {}", added.collect::<Vec<_>>().join(", "))
}

fn most(figures: &[f64]) -> Option<f64> {
    figures.iter().copied().max_by(f64::total_cmp)
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).context(format_args!("writing `{}`", path.display()))
}
