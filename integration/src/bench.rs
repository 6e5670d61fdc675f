//! `make bench`: what the filters add to a request, in real Envoys, beside Envoy's own features.
//!
//! [`rounds`] says how it is measured, [`candidate`] what; [`bootstraps`] makes the same resources into the configuration of
//! each candidate, [`ends`] sends and answers the requests, [`summary`], [`tables`] and [`plot`] say what came of it.

pub mod arguments;
pub mod bootstraps;
pub mod candidate;
pub mod cores;
pub mod ends;
mod loading;
mod lua;
pub mod numbers;
pub mod plot;
pub mod rounds;
pub mod running;
pub mod summary;
pub mod tables;
pub mod targets;

use std::{
    env, fs,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use mesh_policy_testkit::scale::Hit;

use self::{
    arguments::{Arguments, HELP, Plan},
    candidate::Candidate,
    cores::Cores,
    numbers::Spread,
    rounds::Group,
    running::Running,
    summary::Conditions,
};
use crate::{Context, Result, certs::Authority, envoy, modules::repository, process};

/// Others who keep more than this share of a core busy disturb what is measured.
const QUIET_OTHERS: f64 = 0.1;

/// The middle half of the bare Envoy's rounds should not be wider than this share of their median.
const QUIET_WIDTH: f64 = 0.15;

/// Between these lines of docs/performance.md stand the tables.
const BEGIN: &str = "<!-- made by `make bench UPDATE=1` from here -->";
const END: &str = "<!-- to here -->";

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
    let groups = measure(plan, &mut conditions)?;
    let targets = targets::of(&groups, &sizes);
    let summary = summary::to_json(&groups, &sizes, &targets, &conditions, plan.length);
    let tables = tables::markdown(&groups, &targets, &conditions, plan.length);
    let picture = plot::svg(&plot::series(&groups), !conditions.warnings.is_empty());
    write(&output.join("summary.json"), &format!("{summary:#}\n"))?;
    write(&output.join("tables.md"), &tables)?;
    write(&output.join("bench.svg"), &picture)?;
    print!("{tables}");
    eprintln!("written: summary.json, tables.md and bench.svg in {}", output.display());
    if plan.update {
        update(&tables, &picture)?;
    }
    Ok(())
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

/// Puts the results where people read them.
fn update(tables: &str, picture: &str) -> Result<()> {
    let docs = repository().join("docs");
    write(&docs.join("bench.svg"), picture)?;
    let path = docs.join("performance.md");
    let text = fs::read_to_string(&path).unwrap_or_else(|_| "# Speed\n".to_owned());
    write(&path, &with_section(&text, tables))?;
    eprintln!("updated: docs/performance.md and docs/bench.svg");
    Ok(())
}

/// The text with these tables in the place of older ones, else behind everything.
fn with_section(text: &str, tables: &str) -> String {
    let marked = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    match marked {
        Some((before, after)) => format!("{before}{BEGIN}\n\n{tables}\n{END}{after}"),
        None => format!("{text}\n## What `make bench` measured\n\n{BEGIN}\n\n{tables}\n{END}\n"),
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).context(format_args!("writing `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_tables_take_the_place_of_the_old_ones() {
        let first = with_section("# Speed\n", "one\n");
        assert!(first.starts_with("# Speed\n\n## What") && first.contains("\n\none\n\n<!-- to"), "{first}");
        assert_eq!(with_section(&first, "two\n"), first.replace("one", "two"));
    }
}
