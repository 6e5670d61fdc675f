//! `make fuzz AREA=index`: the indexed evaluation against the plain one, for as long as asked. Stops at the first
//! disagreement, and prints it made small.
//!
//! Usage: `fuzz-index SECONDS [SEED]`

use mesh_policy_testkit::oracle::{Compared, authorization, routing, shrink};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Requests of a crowd.
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

/// Whether both agreed all the time.
fn fuzz() -> Result<bool, String> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |what: &str| {
        let given = arguments.next().filter(|text| !text.is_empty());
        given.map(|text| text.parse::<u64>().map_err(|error| format!("{what} `{text}`: {error}"))).transpose()
    };
    let seconds = number("SECONDS")?.unwrap_or(600);
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |clock| clock.as_secs());
    let first = number("SEED")?.unwrap_or(clock);
    println!("for {seconds} s, from seed {first}");
    let (begun, mut total) = (Instant::now(), Compared::default());
    for seed in first.. {
        if begun.elapsed() > Duration::from_secs(seconds) {
            break;
        }
        for generate in [authorization, routing] {
            match generate(seed, REQUESTS).compare().map_err(|problems| format!("seed {seed}: {problems}"))? {
                Ok(compared) => {
                    total.requests += compared.requests;
                    total.met += compared.met;
                }
                Err(found) => {
                    println!("seed {seed}: disagreement, making it small");
                    println!("{}", shrink(found));
                    return Ok(false);
                }
            }
        }
    }
    println!("{} requests judged twice and alike, {} of them met a rule", total.requests, total.met);
    Ok(true)
}
