//! `mesh-policy check`.

use crate::args::{Check, Output};
use crate::failure::{ERROR, Failure, GOOD, WARNING};
use crate::findings::{Counts, to_json, write_text};
use crate::resources::{Resources, normalization};
use anstream::stdout;
use mesh_policy_compiler::Options;
use std::io::Write;

/// Reports everything that is wrong; the findings are the output.
pub fn run(args: &Check) -> Result<(), Failure> {
    let resources = Resources::load(&args.input, "check")?;
    let default = Options::default().under_mesh_config(&resources.sources).path_normalization;
    let normalization = normalization(Some(args.paths), default);
    let findings = mesh_policy_compiler::check_under(&resources.sources, normalization);
    let counts = Counts::of(&findings, resources.files());
    let mut out = stdout().lock();
    match args.output {
        Output::Json => writeln!(out, "{:#}", to_json(&findings, counts))?,
        Output::Text => {
            write_text(&findings, &|file, line| resources.line(file, line), &mut out)?;
            let style = match (counts.errors, counts.warnings) {
                (0, 0) => GOOD,
                (0, _) => WARNING,
                _ => ERROR,
            };
            writeln!(out, "{style}{counts}{style:#}")?;
        }
    }
    let refused = counts.errors > 0 || (args.deny_warnings && counts.warnings > 0);
    if refused { Err(Failure::refused()) } else { Ok(()) }
}
