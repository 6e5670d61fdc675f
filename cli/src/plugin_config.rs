//! `mesh-policy plugin-config`.

use crate::args::{ExtAuthz, Output, PluginConfig};
use crate::failure::Failure;
use crate::resources::{Resources, choice, options};
use mesh_policy_compiler::Options;
use mesh_policy_istio::workload::ExtAuthzPosition;
use std::io::{IsTerminal, Write, stdout};

/// Prints the plugin configuration of one proxy's filters.
pub fn run(args: &PluginConfig) -> Result<(), Failure> {
    let resources = Resources::load(&args.input, "plugin-config")?;
    let choice = choice(&args.proxy, Some(&args.identity), "plugin-config")?;
    let options = options(&args.proxy, &args.identity, None, &resources.sources);
    let options = Options { explain_denials: args.explain_denials, ..options };
    let side = args.ext_authz.map(|side| match side {
        ExtAuthz::Before => ExtAuthzPosition::Before,
        ExtAuthz::After => ExtAuthzPosition::After,
    });
    let config = mesh_policy_compiler::plugin_config(&resources.sources, &choice, side, &options)
        .map_err(|refusal| resources.refuse(&refusal))?;
    // What is refused was refused above: what is left are warnings.
    let warnings: Vec<_> = mesh_policy_compiler::check(&resources.sources)
        .into_iter()
        .filter(|finding| !finding.is_error())
        .collect();
    resources.report(&warnings)?;
    let mut out = stdout().lock();
    match args.output {
        Some(Output::Text) => writeln!(out, "{config:#}")?,
        None if out.is_terminal() => writeln!(out, "{config:#}")?,
        Some(Output::Json) | None => writeln!(out, "{config}")?,
    }
    Ok(())
}
