//! `make bench`: what the filters add to a request.

use std::process::ExitCode;

fn main() -> ExitCode {
    mesh_policy_integration::bench::main()
}
