//! Envoy as a child process: started, its log passed on, stopped.

use crate::failure::{DIM, Failure};
use anstream::stderr;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How many of its last lines are shown when Envoy ends by itself.
const LAST_LINES: usize = 12;

/// How long Envoy may take to end after SIGTERM.
pub const GRACE: Duration = Duration::from_secs(10);

/// How often the state of the child is asked for where nothing announces it.
pub const TICK: Duration = Duration::from_millis(20);

/// A running Envoy. It is killed when dropped.
#[derive(Debug)]
pub struct Envoy {
    child: Child,
    last_lines: Arc<Mutex<VecDeque<String>>>,
    log: Option<JoinHandle<()>>,
}

impl Envoy {
    /// Starts it. Its log goes to standard error, every line marked as Envoy's.
    pub fn start(command: &mut Command) -> Result<Self, Failure> {
        // Ctrl-C reaches every process of the terminal's group; Envoy is to be stopped by us alone, once.
        command.process_group(0).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child =
            command.spawn().map_err(|error| Failure::environment(format!("cannot start Envoy: {error}")))?;
        let last_lines = Arc::default();
        let log = child.stderr.take().map(|stderr| {
            let last_lines = Arc::clone(&last_lines);
            thread::spawn(move || pass_on(stderr, &last_lines))
        });
        Ok(Self { child, last_lines, log })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, once it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Asks it to end, and kills it when it does not within [`GRACE`] or when `impatient` says so.
    pub fn stop(mut self, mut impatient: impl FnMut() -> bool) {
        let asked = Instant::now();
        // A process that has ended and was waited for has given its id back: no signal for that one.
        if self.ended().is_none()
            && let Some(id) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
        {
            // It fails only for a process that has just ended by itself.
            let _ = kill_process(id, Signal::TERM);
        }
        while self.ended().is_none() && asked.elapsed() < GRACE && !impatient() {
            thread::sleep(TICK);
        }
    }

    /// Its last lines, once it has ended.
    pub fn last_lines(&mut self) -> Vec<String> {
        if let Some(log) = self.log.take() {
            // The reader ends with the pipe; it has nothing to fail at.
            let _ = log.join();
        }
        self.last_lines.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        // Both fail only for a process that is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pass_on(pipe: impl Read, last_lines: &Mutex<VecDeque<String>>) {
    for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
        // Header values can reach the log: no control character of theirs reaches the terminal.
        let line: String =
            String::from_utf8_lossy(&line).chars().filter(|c| !c.is_control() || *c == '\t').collect();
        // Without a terminal to tell, Envoy still serves.
        let _ = writeln!(stderr(), "{DIM}envoy:{DIM:#} {line}");
        let mut last = last_lines.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() == LAST_LINES {
            last.pop_front();
        }
        last.push_back(line);
    }
}

/// The exit code to pass on, as a shell does: 128 and the signal for a process that a signal ended.
pub fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

/// Runs a command to its end, at most for `limit`, and gives its exit status and its standard error.
pub fn run_to_end(command: &mut Command, limit: Duration) -> Result<(ExitStatus, String), Failure> {
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child =
        command.spawn().map_err(|error| Failure::environment(format!("cannot start Envoy: {error}")))?;
    let reader = child.stderr.take().map(|mut stderr| {
        thread::spawn(move || {
            let mut text = Vec::new();
            // What was read before an error is still worth showing.
            let _ = stderr.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        })
    });
    let started = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Some(status),
            Ok(None) if started.elapsed() < limit => thread::sleep(TICK),
            _ => break None,
        }
    };
    if status.is_none() {
        // Both fail only for a process that is gone already.
        let _ = child.kill();
        let _ = child.wait();
    }
    let text = reader.and_then(|reader| reader.join().ok()).unwrap_or_default();
    match status {
        Some(status) => Ok((status, text)),
        None => Err(Failure::environment(format!("Envoy did not end within {} seconds", limit.as_secs()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_process_that_ends_leaves_its_last_lines_and_its_code() {
        let mut envoy =
            Envoy::start(&mut shell("for i in $(seq 20); do echo line $i >&2; done; exit 7")).unwrap();
        let started = Instant::now();
        let status = loop {
            match envoy.ended() {
                Some(status) => break status,
                None if started.elapsed() > GRACE => panic!("it still runs"),
                None => thread::sleep(TICK),
            }
        };
        assert_eq!(exit_code(status), 7);
        let lines = envoy.last_lines();
        assert_eq!((lines.len(), lines.last().map(String::as_str)), (LAST_LINES, Some("line 20")));
    }

    #[test]
    fn a_process_that_ignores_sigterm_is_killed_by_the_impatient() {
        let envoy = Envoy::start(&mut shell("trap '' TERM; while :; do sleep 1; done")).unwrap();
        let id = Pid::from_raw(i32::try_from(envoy.id()).unwrap()).unwrap();
        envoy.stop(|| true);
        assert!(rustix::process::test_kill_process(id).is_err());
    }

    #[test]
    fn a_command_that_does_not_end_is_ended() {
        let error = run_to_end(&mut shell("exec sleep 60"), Duration::from_millis(50)).unwrap_err();
        assert_eq!(error, Failure::environment("Envoy did not end within 0 seconds"));
    }

    #[test]
    fn a_signal_becomes_an_exit_code_as_in_a_shell() {
        let (status, text) = run_to_end(&mut shell("echo gone >&2; kill -KILL $$"), GRACE).unwrap();
        assert_eq!((exit_code(status), text.as_str()), (137, "gone\n"));
    }
}
