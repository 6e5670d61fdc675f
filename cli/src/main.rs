//! `mesh-policy`: Istio's resources checked, explained and enforced by an Envoy without a control plane.

mod args;
mod certs;
mod check;
mod choice;
mod compile;
mod explain;
mod failure;
mod findings;
mod image;
mod plugin_config;
mod resources;
mod run;
mod wasmplugin;

use args::{Cli, Command};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let done = match &Cli::parse().command {
        Command::Check(args) => check::run(args),
        Command::Compile(args) => compile::run(args),
        Command::PluginConfig(args) => plugin_config::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Run(args) => run::run(args),
        Command::Certs(args) => certs::run(args),
        Command::WasmPlugin(args) => wasmplugin::run(args),
        Command::Image(args) => image::run(args),
        Command::Tether(args) => run::tether::become_program(args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
