//! See `compose-check --help`, and `integration/docker-compose.yaml`.

use std::process::ExitCode;

fn main() -> ExitCode {
    mesh_policy_integration::demo::containers::main()
}
