//! Envoy ends with this program, also when it is killed and can stop nothing any more.
//!
//! Only a process itself can ask the kernel for a signal at its parent's end. So this program starts itself anew, asks, and
//! becomes Envoy: the request outlives `exec`, and the process keeps its id.

use crate::args::Tether;
use crate::failure::Failure;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// A command that runs `program` on the tether, where the system has one.
pub fn command(program: &Path) -> Command {
    if !cfg!(target_os = "linux") {
        return Command::new(program);
    }
    // Not by name: the file may have been replaced since this process was started.
    let mut command = Command::new("/proc/self/exe");
    command.arg("tether").arg(std::process::id().to_string()).arg(program);
    command
}

/// Becomes the program.
pub fn become_program(args: &Tether) -> Result<(), Failure> {
    let Some((program, words)) = args.program.split_first() else {
        return Err(Failure::usage("no program"));
    };
    tie(args.parent)?;
    let error = Command::new(program).args(words).exec();
    Err(Failure::environment(format!("cannot start `{}`: {error}", Path::new(program).display())))
}

#[cfg(target_os = "linux")]
fn tie(parent: u32) -> Result<(), Failure> {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};
    set_parent_process_death_signal(Some(Signal::TERM)).map_err(|error| {
        Failure::environment(format!("cannot ask for a signal at the parent's end: {error}"))
    })?;
    // It may have ended before the kernel was asked.
    let now = getppid().map(|pid| pid.as_raw_nonzero().get());
    if now.and_then(|pid| u32::try_from(pid).ok()) == Some(parent) {
        return Ok(());
    }
    Err(Failure::environment("the parent has ended"))
}

#[cfg(not(target_os = "linux"))]
fn tie(_parent: u32) -> Result<(), Failure> {
    Ok(())
}
