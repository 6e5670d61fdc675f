//! `make demo`: the guide's examples against a real Envoy.

use std::process::ExitCode;

fn main() -> ExitCode {
    mesh_policy_integration::demo::main()
}
