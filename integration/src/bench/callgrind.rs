//! The instructions that an Envoy executes in user space, counted by valgrind's callgrind: the same however busy the machine is.

use std::process::Command;

use crate::{Context, Result, process, wait};

/// What runs an Envoy so that it can be counted. It starts uncounted, many times as fast; V8 writes code while it runs, so that
/// code has to be looked at anew; the profile goes nowhere, for only its sum is asked for.
pub const UNDER: [&str; 5] = [
    "valgrind",
    "--tool=callgrind",
    "--instr-atstart=no",
    "--smc-check=all-non-file",
    "--callgrind-out-file=/dev/null",
];

/// What to do where valgrind is missing.
const INSTALL: &str = "counting instructions needs valgrind: install the package `valgrind` (Debian, Ubuntu: \
                       `apt-get install valgrind`, Fedora: `dnf install valgrind`)";

/// The version of valgrind.
///
/// # Errors
/// It is not installed, or not all of it; the text says what to install.
pub fn version() -> Result<String> {
    let says = |program: &str, argument: &str| -> Result<String> {
        let answered = process::run(program, Command::new(program).arg(argument), wait::PATIENCE);
        let (status, output) = answered.context(INSTALL)?;
        let problem = format_args!("{INSTALL}: `{program} {argument}` ended with {status}");
        status.success().then_some(output).context(problem)
    };
    says("vgdb", "--help")?;
    Ok(says("valgrind", "--version")?.trim().replace("valgrind-", ""))
}

/// Begins to count.
///
/// # Errors
/// The process is not one of valgrind's.
pub fn begin(id: u32) -> Result<()> {
    tell(id, &["instrumentation", "on"]).map(drop)
}

/// How many instructions all threads of the process have executed since it is counted.
///
/// # Errors
/// It is not counted.
pub fn executed(id: u32) -> Result<u64> {
    let status = tell(id, &["status", "internal"])?;
    sum(&status).context(format_args!("callgrind counts nothing:\n{status}"))
}

fn tell(id: u32, words: &[&str]) -> Result<String> {
    let mut command = Command::new("vgdb");
    let (status, output) =
        process::run("vgdb", command.arg(format!("--pid={id}")).args(words), wait::PATIENCE)?;
    status.success().then_some(()).context(format_args!("vgdb ended with {status}: {output}"))?;
    Ok(output)
}

/// Callgrind tells `events-3: 4711` for each thread, beside `events-3-0: 584` for each function that it is in.
fn sum(status: &str) -> Option<u64> {
    status.lines().any(|line| line == "instrumentation: on").then_some(())?;
    let threads = status.lines().filter_map(|line| {
        let (thread, count) = line.strip_prefix("events-")?.split_once(": ")?;
        thread.bytes().all(|byte| byte.is_ascii_digit()).then_some(count)
    });
    let counts: Vec<u64> = threads.map(|count| count.trim().parse().ok()).collect::<Option<_>>()?;
    (!counts.is_empty()).then(|| counts.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "sending command status internal to pid 7\n\
        instrumentation: on\nexecuted-bbs: 5301364\nevents: Ir\npart: 0\nthreads: 1 2\ncurrent-tid: 1\n\
        events-1: 461566\nframes-1: 3\nfunction-1-0: 0x0000000005b4f368\ncalls-1-0: 553\nevents-1-0: 166866\n\
        function-1-3: epoll_wait\nevents-2: 13520\nframes-2: 7\nevents-2-1: 3429\n";

    #[test]
    fn the_count_is_that_of_all_threads_and_of_no_function() {
        assert_eq!(sum(STATUS), Some(461_566 + 13_520));
    }

    #[test]
    fn what_does_not_count_is_not_taken_for_nothing() {
        assert_eq!(sum("instrumentation: off\n"), None);
        assert_eq!(sum("instrumentation: on\nthreads: 1\n"), None);
        assert_eq!(sum(&STATUS.replace("461566", "many")), None);
    }
}
