//! The command line.

use std::{path::PathBuf, time::Duration};

use mesh_policy_testkit::scale::Scenario;

use super::rounds::Length;

/// What `--help` prints.
pub const HELP: &str = "\
Measures what the filters add to a request, in real Envoys beside Envoy's own features, and prints tables: processor time,
and the instructions that Envoy executes, counted under valgrind.

Usage: make bench [QUICK=1] [SCENARIOS=authz,routes] [RULES=10,1000] [ROUNDS=9] [COUNT=1] [COUNT=0] [UPDATE=1]
       bench [--quick] [--scenarios LIST] [--rules LIST] [--rounds N] [--turn MS] [--count] [--no-count] [--update]
             [--output FOLDER]

Options:
  --count           only count instructions: needs valgrind, and no quiet machine; COUNT=1 of make
  --no-count        only measure time; COUNT=0 of make            (default: both, or time only where valgrind is missing)
  --quick           10 and 1000 rules, 3 rounds of short turns: a few minutes, for a look; all of it takes half an hour
  --scenarios LIST  of authz, authz-mixed, routes, routes-mixed, policy     (default: all)
  --rules LIST      numbers of rules, 1 to 50000                            (default: 10,100,1000,10000)
  --rounds N        how often each candidate has its turn, at least 1       (default: 9)
  --turn MS         how long a turn is, in milliseconds                     (default: 120)
  --update          put the results into docs/performance.md and docs/bench.svg too
  --output FOLDER   where the results go                                    (default: target/bench)
  --help            print this

For the time it starts one Envoy a candidate for each set of rules, each with one worker, and sends requests that meet the first, the
middle, the last and no rule, in short turns and in an order that changes from round to round. Client and upstream are
one thread on a core of its own. Only Envoy's processor time is counted, and the bare Envoy's of the same round and the
same request is subtracted; ratios are taken within rounds. For the count two Envoys at a time run under callgrind and
get the same requests one by one; candidates that differ in their listener only, and have no module of ours, share one.
Candidates:

  bare        Envoy's router and one route; for requests that are denied, an answer of Envoy's own
  noop        a filter that does nothing, with every export of the SDK
  floor       one look at the header map and one header set: the least that a filter which decides can do
  companions  what `compile` puts beside the filters, without them
  lua         a table of rules that a script walks (authz and routes)
  native      `compile --engine native`: Envoy's RBAC, routes, faults and header operations
  wasm        mesh_authz, mesh_router or mesh_policy.wasm, with the companions
  fused       mesh_policy.wasm where the scenario needs one decision only
  chain       the four single filters one after the other (policy)
  chain3      the same without the one that edits headers (policy)

It writes summary.json, tables.md and bench.svg; what a run does not measure, time or instructions, stays there as an earlier
run found it, each under its own commit. Tables go to standard output, progress to standard error. On a machine
that is busy with something else times are worth little, and it says so; counts stay the same.

Environment:
  ENVOY        the Envoy to run       (default: .tools/bin/envoy, then PATH)

Exit codes: 0 measured, whatever the figures say; 1 something did not start or answered wrongly; 2 the command line is
wrong.
";

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arguments {
    /// The help text.
    Help,
    /// A measurement.
    Run(Plan),
}

/// What is measured of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figures {
    /// Processor time, and instructions where they can be counted.
    Both,
    /// Processor time.
    Time,
    /// Instructions.
    Count,
}

/// What is measured, and where the results go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The scenarios.
    pub scenarios: Vec<Scenario>,
    /// The numbers of rules.
    pub rules: Vec<usize>,
    /// What is measured of them.
    pub figures: Figures,
    /// How long.
    pub length: Length,
    /// Whether the documentation gets the results.
    pub update: bool,
    /// Where they go; `target/bench` when not said.
    pub output: Option<PathBuf>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            scenarios: Scenario::ALL.to_vec(),
            rules: vec![10, 100, 1_000, 10_000],
            figures: Figures::Both,
            length: Length { rounds: 9, turn: Duration::from_millis(120) },
            update: false,
            output: None,
        }
    }
}

const MOST_RULES: usize = 50_000;

impl Arguments {
    /// Reads the words after the program's name; the error says what is wrong with which of them.
    ///
    /// # Errors
    /// A word is not known, or its value cannot be.
    pub fn read(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut words = words;
        let mut plan = Plan::default();
        let (mut rules, mut rounds, mut turn, mut quick) = (None, None, None, false);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("`{word}` needs a value"));
            match word.as_str() {
                "--help" | "-h" => return Ok(Self::Help),
                "--quick" => quick = true,
                "--count" => plan.figures = Figures::Count,
                "--no-count" => plan.figures = Figures::Time,
                "--update" => plan.update = true,
                "--scenarios" => plan.scenarios = list(&value()?, scenario)?,
                "--rules" => rules = Some(list(&value()?, |text| number(text, MOST_RULES))?),
                "--rounds" => rounds = Some(number(&value()?, 1_000)?),
                "--turn" => {
                    turn = Some(number(&value()?, 60_000)?);
                }
                "--output" => plan.output = Some(PathBuf::from(value()?)),
                _ => return Err(format!("unexpected argument `{word}`")),
            }
        }
        if quick {
            plan.rules = vec![10, 1_000];
            plan.length.rounds = 3;
            turn = turn.or(Some(60));
        }
        plan.rules = rules.unwrap_or(plan.rules);
        plan.length.rounds = rounds.unwrap_or(plan.length.rounds);
        plan.length.turn = turn.map_or(plan.length.turn, |millis| Duration::from_millis(millis as u64));
        Ok(Self::Run(plan))
    }
}

fn list<T>(text: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    text.split(',').map(|item| read(item.trim())).collect()
}

fn scenario(text: &str) -> Result<Scenario, String> {
    let known = Scenario::ALL.map(Scenario::name).join(", ");
    let found = Scenario::ALL.into_iter().find(|scenario| scenario.name() == text);
    found.ok_or_else(|| format!("`{text}` is no scenario: expected {known}"))
}

fn number(text: &str, most: usize) -> Result<usize, String> {
    let parsed = text.parse().ok().filter(|number| (1..=most).contains(number));
    parsed.ok_or_else(|| format!("`{text}`: expected a number from 1 to {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &str) -> Result<Arguments, String> {
        Arguments::read(words.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn what_is_not_said_is_all_of_it() {
        assert_eq!(read(""), Ok(Arguments::Run(Plan::default())));
        assert_eq!(read("--quick --help"), Ok(Arguments::Help));
    }

    #[test]
    fn what_is_said_goes_before_what_quick_means() {
        let Ok(Arguments::Run(plan)) = read("--rules 7,70 --quick --scenarios authz-mixed --turn 5 --update")
        else {
            panic!("a plan");
        };
        assert_eq!((plan.rules, plan.scenarios), (vec![7, 70], vec![Scenario::AuthzMixed]));
        assert_eq!(plan.length, Length { rounds: 3, turn: Duration::from_millis(5) });
        assert!(plan.update && plan.figures == Figures::Both);
    }

    #[test]
    fn either_figure_can_be_had_alone() {
        let figures = |words| match read(words) {
            Ok(Arguments::Run(plan)) => plan.figures,
            other => panic!("{other:?}"),
        };
        assert_eq!((figures("--count"), figures("--quick --no-count")), (Figures::Count, Figures::Time));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let known = "expected authz, authz-mixed, routes, routes-mixed, policy";
        assert_eq!(read("--scenarios auth").unwrap_err(), format!("`auth` is no scenario: {known}"));
        assert_eq!(read("--rules 10,0").unwrap_err(), "`0`: expected a number from 1 to 50000");
        assert_eq!(read("--rounds").unwrap_err(), "`--rounds` needs a value");
        assert_eq!(read("--fast").unwrap_err(), "unexpected argument `--fast`");
    }
}
