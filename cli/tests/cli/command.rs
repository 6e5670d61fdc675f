//! Running the built program.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a call ended with.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// The folder with the fixtures; calls run in it, so that file names are short.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// The program, without what the caller's environment would change.
pub fn command(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mesh-policy"));
    command.args(words).current_dir(fixtures()).stdin(Stdio::null());
    for variable in ["COLUMNS", "CLICOLOR_FORCE", "ENVOY", "MESH_POLICY_MODULES"] {
        command.env_remove(variable);
    }
    command
}

/// Runs the program to its end.
pub fn mesh_policy(words: &[&str]) -> Ended {
    ended(&mut command(words))
}

/// Runs the program to its end, with this on standard input.
pub fn mesh_policy_with_input(words: &[&str], input: &str) -> Ended {
    let mut child =
        command(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    read(child.wait_with_output().unwrap())
}

/// Runs this command to its end.
pub fn ended(command: &mut Command) -> Ended {
    read(command.output().unwrap())
}

fn read(output: std::process::Output) -> Ended {
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// All is well, and this is the output.
pub fn printed(stdout: &str) -> Ended {
    Ended { code: Some(0), stdout: stdout.to_owned(), stderr: String::new() }
}

/// Refused, with this on standard error.
pub fn failed(code: i32, stderr: &str) -> Ended {
    Ended { code: Some(code), stdout: String::new(), stderr: stderr.to_owned() }
}
