//! Child processes that end with whoever started them.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{Context, Error, Result, wait};

/// How long a process may take to end when asked, before it is killed.
const GRACE: Duration = Duration::from_secs(3);

/// How many lines of the output an error shows.
const LOG_LINES: usize = 60;

/// A child process with its output in a file. Dropping it ends it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    ended: Option<ExitStatus>,
    guardian: Guardian,
}

impl Process {
    /// Starts `command` with both its outputs going to the file `log`.
    ///
    /// # Errors
    /// The log cannot be created or the program cannot be started.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let file = File::create(log).context(format_args!("creating `{}`", log.display()))?;
        let same = file.try_clone().context("sharing the log between the two outputs")?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(same)
            .spawn()
            .context(format_args!("starting {name} (`{}`)", command.get_program().to_string_lossy()))?;
        let mut process = Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
            ended: None,
            guardian: Guardian { child: None },
        };
        process.guardian = Guardian::of(process.child.id(), None)?;
        Ok(process)
    }

    /// Has the process's own folder removed where nobody is left to drop this value, as in a static.
    ///
    /// # Errors
    /// The shell that does it cannot be started.
    pub fn own_folder(&mut self, folder: &Path) -> Result<()> {
        self.guardian.dismiss();
        self.guardian = Guardian::of(self.child.id(), Some(folder))?;
        Ok(())
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where the output goes.
    pub fn log_file(&self) -> &Path {
        &self.log
    }

    /// The output so far.
    pub fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Waits for a line of the output that contains `text`, and gives it.
    ///
    /// # Errors
    /// No such line comes, or the process ends without one; the text ends with the output.
    pub fn wait_for_log(&mut self, text: &str) -> Result<String> {
        self.wait_for_log_within(text, wait::PATIENCE)
    }

    /// The same for a line that may take longer.
    ///
    /// # Errors
    /// As [`wait_for_log`](Self::wait_for_log).
    pub fn wait_for_log_within(&mut self, text: &str, limit: Duration) -> Result<String> {
        let what = format!("a line with `{text}` from {}", self.name);
        let found = wait::until(limit, &what, || {
            // Asked before the output is read: what an ended process wrote is all there.
            let ended = self.ended();
            let line = self.log().lines().find(|line| line.contains(text)).map(str::to_owned);
            match (line, ended) {
                (Some(line), _) => Some(Ok(line)),
                (None, Ok(None)) => None,
                (None, Ok(Some(status))) => {
                    Some(Err(Error::new(format!("{} ended with {status}, without {what}", self.name))))
                }
                (None, Err(error)) => Some(Err(error)),
            }
        });
        found
            .flatten()
            .map_err(|error| Error::new(format!("{error}; its output:\n{}", self.log_tail(LOG_LINES))))
    }

    /// The exit status, once the process has ended.
    ///
    /// # Errors
    /// The system does not say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended =
                self.child.try_wait().context(format_args!("asking for the state of {}", self.name))?;
        }
        Ok(self.ended)
    }

    /// Waits for the process to end by itself.
    ///
    /// # Errors
    /// It still runs after `limit`.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let name = self.name.clone();
        wait::until(limit, &format!("{name} to end"), || self.ended().transpose())?
    }

    /// Sends a signal, for example the one Ctrl-C sends.
    ///
    /// # Errors
    /// The process has ended or the system refuses.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        // A process that was waited for has given its id back; signalling it could hit a stranger.
        if let Some(status) = self.ended()? {
            return Err(Error::new(format!("{} has already ended with {status}", self.name)));
        }
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let id = id.context("the process id is not one")?;
        kill_process(id, signal).context(format_args!("signalling {}", self.name))
    }

    /// Asks the process to end (SIGTERM) and, where it does not, kills it.
    ///
    /// # Errors
    /// The system refuses to tell its exit status.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.guardian.dismiss();
        if let Some(status) = self.ended()? {
            return Ok(status);
        }
        if self.signal(Signal::TERM).is_ok()
            && let Ok(status) = self.wait(GRACE)
        {
            return Ok(status);
        }
        // Refused only when the process has ended meanwhile, which `wait` then tells.
        _ = self.child.kill();
        let status = self.child.wait().context(format_args!("waiting for the end of {}", self.name))?;
        self.ended = Some(status);
        Ok(status)
    }

    /// The last lines of the output, for error messages.
    pub fn log_tail(&self, lines: usize) -> String {
        let log = self.log();
        let all: Vec<&str> = log.lines().collect();
        all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nobody is left to tell.
        _ = self.stop();
    }
}

/// A shell that waits for its standard input to close, which the kernel does when this process
/// ends, however it ends, and then ends the child and removes its folder: values in statics are
/// never dropped, and a killed test drops nothing.
#[derive(Debug)]
struct Guardian {
    child: Option<Child>,
}

impl Guardian {
    const SCRIPT: &str = r#"read -r _
        kill -TERM "$0" 2>/dev/null && sleep 1 && kill -KILL "$0" 2>/dev/null
        [ -z "$1" ] || rm -rf -- "$1""#;

    fn of(id: u32, folder: Option<&Path>) -> Result<Self> {
        let child = Command::new("sh")
            .args(["-c", Self::SCRIPT, &id.to_string()])
            .arg(folder.unwrap_or(Path::new("")))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting the shell that outlives a killed test")?;
        Ok(Self { child: Some(child) })
    }

    /// Ends the guardian before the child's id can pass to a stranger.
    fn dismiss(&mut self) {
        if let Some(mut child) = self.child.take() {
            // `kill` fails only for a guardian that is gone.
            _ = child.kill();
            _ = child.wait();
        }
    }
}

/// Runs `command` to its end, at most for `limit`, and gives its exit status and all it printed.
///
/// # Errors
/// It cannot be started or does not end in time.
pub fn run(name: &str, command: &mut Command, limit: Duration) -> Result<(ExitStatus, String)> {
    let folder = tempfile::tempdir().context("creating a temporary folder")?;
    let mut process = Process::start(name, command, &folder.path().join("output"))?;
    let started = Instant::now();
    match process.wait(limit) {
        Ok(status) => Ok((status, process.log())),
        Err(_) => Err(Error::new(format!(
            "{name} still ran after {:?}; it printed:\n{}",
            started.elapsed(),
            process.log_tail(LOG_LINES)
        ))),
    }
}

#[cfg(test)]
mod tests;
