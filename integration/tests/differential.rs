//! Generated resources and requests, through the filters and through Envoy's own features: both must answer alike.

use mesh_policy_core::effect::{Random as _, SplitMix64};
use mesh_policy_integration::differential::difference::{DIFFERENCES, IGNORED_HEADERS};
use mesh_policy_integration::differential::{Area, Report, run};
use mesh_policy_integration::{Context, Result, modules};
use std::time::{Duration, Instant, SystemTime};

/// Sets in one Envoy.
const SETS: usize = 20;

/// Requests of a set.
const REQUESTS: usize = 60;

/// No further Envoy is started after this long.
const BOUND: Duration = Duration::from_secs(45);

/// One batch from each of the fixed seeds, as time allows, and first one from a seed that nobody has tried.
fn agree(area: Area) -> Result<()> {
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).context("the clock")?;
    let fresh = clock.as_secs();
    println!("{area}: the fresh seed is {fresh}");
    let (begun, mut total) = (Instant::now(), Report::default());
    for seed in [fresh, 1, 2, 3] {
        if begun.elapsed() > BOUND {
            break;
        }
        let mut seeds = SplitMix64::new(seed);
        let sets: Vec<_> =
            (0..SETS).map(|_| seeds.next()).map(|seed| (seed, area.generate(seed, REQUESTS))).collect();
        total.add(run(area, &sets)?);
    }
    println!("{area}: {total}");
    let shown = total.disagreements.iter().take(3).map(|found| format!("{found}\n")).collect::<String>();
    assert!(total.disagreements.is_empty(), "{total}; make fuzz SEED=.. shrinks them\n{shown}");
    assert!(total.pairs >= 800, "only {total}");
    assert!(total.matched * 100 / total.pairs >= 25, "requests miss the rules: {total}");
    Ok(())
}

#[test]
fn the_filters_route_as_envoy_does() {
    agree(Area::Routing).unwrap();
}

#[test]
fn the_filters_authorize_as_envoy_does() {
    agree(Area::Authorization).unwrap();
}

#[test]
fn the_guide_names_every_intended_difference() {
    let path = modules::repository().join("docs/differences.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let rows = |title: &str| {
        let section = text.split(title).nth(1).unwrap();
        let rows = section.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
        let rows = rows.take_while(|line| line.starts_with('|')).map(|row| {
            let mut cells =
                row.trim_matches('|').split(" | ").map(|cell| cell.trim().trim_matches('`').to_owned());
            (cells.next().unwrap(), cells.next().unwrap())
        });
        rows.collect::<Vec<_>>()
    };
    let owned = |(name, reason): (&str, &str)| (name.to_owned(), reason.to_owned());
    let differences = DIFFERENCES.iter().map(|difference| owned((difference.name, difference.reason)));
    assert_eq!(rows("## Intended differences"), differences.collect::<Vec<_>>());
    assert_eq!(
        rows("## What is not compared"),
        IGNORED_HEADERS.iter().copied().map(owned).collect::<Vec<_>>()
    );
}
