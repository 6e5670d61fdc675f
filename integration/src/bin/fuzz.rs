//! `make fuzz`: the differential test for as long as asked. Stops at the first disagreement, makes it small and writes it down.

use mesh_policy_core::effect::{Random as _, SplitMix64};
use mesh_policy_integration::differential::{Area, Disagreement, Report, run, shrink, write};
use mesh_policy_integration::{Context, Error, Result, modules};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Sets in one Envoy.
const SETS: usize = 20;

/// Requests of a set.
const REQUESTS: usize = 40;

fn main() -> ExitCode {
    match fuzz() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Disagreements by the lines that differ, each with its number and an example.
fn kinds(found: &[Disagreement]) -> BTreeMap<String, (usize, &Disagreement)> {
    let mut kinds = BTreeMap::new();
    for one in found {
        kinds.entry(one.kind()).or_insert((0, one)).0 += 1;
    }
    kinds
}

/// Whether the engines agreed all the time.
fn fuzz() -> Result<bool> {
    let mut arguments = std::env::args().skip(1);
    let number = |given: Option<String>, what: &str| -> Result<Option<u64>> {
        let given = given.filter(|text| !text.is_empty());
        given.map(|text| text.parse().context(format_args!("{what} `{text}`"))).transpose()
    };
    let seconds = number(arguments.next(), "SECONDS")?.unwrap_or(600);
    let given = number(arguments.next(), "SEED")?;
    // Goes on after disagreements, and shows one of each kind as it was found.
    let all = std::env::var_os("ALL").is_some();
    let only = arguments.next().filter(|text| !text.is_empty());
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock")?.as_secs();
    let mut seed = given.unwrap_or(clock);
    println!("for {seconds} s, from seed {seed}");
    let mut known = std::collections::BTreeSet::new();
    let (begun, mut total) = (Instant::now(), Report::default());
    loop {
        // One batch follows from one number, so that it can be had again.
        let area = match (only.as_deref(), seed % 2) {
            (Some("routing"), _) | (None, 0) => Area::Routing,
            (Some("authorization") | None, _) => Area::Authorization,
            (Some(other), _) => {
                return Err(Error::new(format!("AREA `{other}`: expected `routing` or `authorization`")));
            }
        };
        let mut seeds = SplitMix64::new(seed);
        let sets: Vec<_> =
            (0..SETS).map(|_| seeds.next()).map(|seed| (seed, area.generate(seed, REQUESTS))).collect();
        let mut report = run(area, &sets)?;
        let found = std::mem::take(&mut report.disagreements);
        println!("{:>5} s  seed {seed}  {area}: {report}", begun.elapsed().as_secs());
        total.add(report);
        if let Some(first) = found.first() {
            println!("{} disagreements:", found.len());
            for (kind, (count, example)) in kinds(&found) {
                println!("{count} x {kind}");
                if all && known.insert(kind.clone()) {
                    println!("{example}\n");
                }
            }
            if !all {
                println!("the first, of set {}, is made small", first.seed);
                let smallest = shrink(first)?;
                let path = write(&smallest, &modules::repository().join("target/differential"))?;
                println!("{smallest}\nwritten to {}", path.display());
                println!("the same again: make fuzz SEED={seed}");
                return Ok(false);
            }
        }
        seed = seed.wrapping_add(1);
        if begun.elapsed() >= Duration::from_secs(seconds) {
            println!("{total}");
            return Ok(known.is_empty());
        }
    }
}
