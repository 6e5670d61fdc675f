//! A real Envoy as a child process.

mod admin;
mod binary;

use std::{
    fs,
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

pub use admin::Admin;
pub use binary::find;

use crate::{
    Context, Error, Result,
    config::{address, merge},
    process::{self, Process},
    wait,
};

/// How many lines of the log an error shows.
const LOG_LINES: usize = 60;

/// How Envoy is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Worker threads.
    pub concurrency: u32,
    /// Envoy's `--log-level`.
    pub log_level: String,
    /// Envoy's `--component-log-level`, for example `wasm:debug`.
    pub component_log_level: Option<String>,
    /// Merged into the configuration by Envoy's `--config-yaml`: lists are added to, values replaced.
    pub overlay: Value,
    /// The program that runs Envoy, with its arguments, such as one that watches what it does; none runs it as it is.
    pub under: Vec<String>,
    /// How long Envoy may take until it is ready.
    pub ready_within: Duration,
}

impl Default for Options {
    /// One worker, log level `info`.
    fn default() -> Self {
        Self {
            concurrency: 1,
            log_level: "info".to_owned(),
            component_log_level: None,
            overlay: json!({}),
            under: Vec::new(),
            ready_within: wait::PATIENCE,
        }
    }
}

/// A configuration: a bootstrap as JSON, or a file with one.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// Written to a file for Envoy.
    Json(&'a Value),
    /// A file; paths inside it are Envoy's to resolve.
    File(&'a Path),
}

impl<'a> From<&'a Value> for Source<'a> {
    fn from(value: &'a Value) -> Self {
        Self::Json(value)
    }
}

impl<'a> From<&'a Path> for Source<'a> {
    fn from(path: &'a Path) -> Self {
        Self::File(path)
    }
}

impl<'a> From<&'a PathBuf> for Source<'a> {
    fn from(path: &'a PathBuf) -> Self {
        Self::File(path)
    }
}

/// A running Envoy. Dropping it ends the process; if the test is failing, its log is printed and
/// kept.
#[derive(Debug)]
pub struct Envoy {
    process: Process,
    admin: Admin,
    /// After `process`, so that the files go last.
    folder: Option<TempDir>,
}

impl Envoy {
    /// Starts Envoy and waits until it is ready: configuration accepted, listeners bound. The admin
    /// interface listens on a free loopback port, wherever the configuration puts it.
    ///
    /// # Errors
    /// There is no Envoy, it refuses the configuration, or it is not ready in time; the text ends
    /// with its log.
    pub fn start<'a>(source: impl Into<Source<'a>>, options: &Options) -> Result<Self> {
        let folder = tempfile::tempdir().context("creating a folder for Envoy")?;
        let admin_file = folder.path().join("admin-address");
        let mut overlay = options.overlay.clone();
        merge(
            &mut overlay,
            &json!({ "admin": { "address": address(SocketAddr::from(([127, 0, 0, 1], 0))) } }),
        );
        let mut command = run_by(&options.under, find()?);
        command
            .arg("--config-path")
            .arg(file(source.into(), folder.path())?)
            .args(["--config-yaml", &overlay.to_string()])
            .arg("--admin-address-path")
            .arg(&admin_file)
            .args(["--concurrency", &options.concurrency.to_string()])
            .args(["--log-level", &options.log_level])
            // Parallel tests must not find each other through shared memory.
            .arg("--disable-hot-restart");
        if let Some(levels) = &options.component_log_level {
            command.args(["--component-log-level", levels]);
        }
        let mut process = Process::start("envoy", &mut command, &folder.path().join("envoy.log"))?;
        match wait_ready(&mut process, &admin_file, options.ready_within) {
            Ok(admin) => {
                process.own_folder(folder.path())?;
                Ok(Self { process, admin, folder: Some(folder) })
            }
            Err(error) => {
                // Ended first, so that the log is whole.
                _ = process.stop();
                Err(Error::new(format!("{error}; its log:\n{}", process.log_tail(LOG_LINES))))
            }
        }
    }

    /// Runs `envoy --mode validate`, which also loads Wasm modules and configures them.
    ///
    /// # Errors
    /// There is no Envoy, or it does not end. A refused configuration is not an error here.
    pub fn validate<'a>(source: impl Into<Source<'a>>) -> Result<Validation> {
        let folder = tempfile::tempdir().context("creating a folder for Envoy")?;
        let mut command = Command::new(find()?);
        command
            .args(["--mode", "validate", "--disable-hot-restart", "--log-level", "info", "--config-path"])
            .arg(file(source.into(), folder.path())?);
        let (status, output) = process::run("envoy --mode validate", &mut command, wait::PATIENCE)?;
        Ok(Validation { status: status.code(), output })
    }

    /// The admin interface.
    pub fn admin(&self) -> &Admin {
        &self.admin
    }

    /// Where the listener with this name listens.
    ///
    /// # Errors
    /// There is no such listener; the text names those there are.
    pub fn listener(&self, name: &str) -> Result<SocketAddr> {
        let listeners = self.admin.listeners()?;
        let known: Vec<_> = listeners.keys().map(|name| format!("`{name}`")).collect();
        let missing = format!("no listener `{name}`, there is {}", known.join(", "));
        listeners.get(name).copied().context(missing)
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The log so far: Envoy's own and whatever it writes to standard output, as access logs may.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Waits for a line of the log that contains `text`, and gives it.
    ///
    /// # Errors
    /// No such line comes; the text ends with the log.
    pub fn wait_for_log(&mut self, text: &str) -> Result<String> {
        self.process.wait_for_log(text)
    }

    /// The last lines of the log.
    pub fn log_tail(&self) -> String {
        self.process.log_tail(LOG_LINES)
    }

    /// The folder of this Envoy's files, gone when it is dropped.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_ref().map(TempDir::path)
    }

    /// The process, for signals and its end.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        _ = self.process.stop();
        if !thread::panicking() {
            return;
        }
        let Some(folder) = self.folder.take().map(TempDir::keep) else { return };
        let log = self.process.log_tail(LOG_LINES);
        // A closed standard error is no reason to panic while panicking.
        _ = writeln!(
            std::io::stderr(),
            "--- end of Envoy's log, all files in {}\n{log}\n---",
            folder.display()
        );
    }
}

/// What `envoy --mode validate` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validation {
    /// The exit status; none where a signal ended Envoy.
    pub status: Option<i32>,
    /// Everything it printed.
    pub output: String,
}

impl Validation {
    /// Whether Envoy accepts the configuration.
    pub fn is_accepted(&self) -> bool {
        self.status == Some(0)
    }
}

/// The program, run by another one where there is one.
fn run_by(under: &[String], program: PathBuf) -> Command {
    let Some((first, arguments)) = under.split_first() else { return Command::new(program) };
    let mut command = Command::new(first);
    command.args(arguments).arg(program);
    command
}

/// The configuration as a file.
fn file(source: Source<'_>, folder: &Path) -> Result<PathBuf> {
    match source {
        Source::File(path) => Ok(path.to_owned()),
        Source::Json(value) => {
            let path = folder.join("bootstrap.json");
            fs::write(&path, format!("{value:#}")).context("writing the bootstrap")?;
            Ok(path)
        }
    }
}

fn wait_ready(process: &mut Process, admin_file: &Path, limit: Duration) -> Result<Admin> {
    wait::until(limit, "envoy to be ready", || match process.ended() {
        Ok(None) => {
            let address = fs::read_to_string(admin_file).ok()?.trim().parse().ok()?;
            let admin = Admin::new(address);
            admin.is_ready().then_some(Ok(admin))
        }
        Ok(Some(status)) => Some(Err(Error::new(format!("envoy ended with {status}")))),
        Err(error) => Some(Err(error)),
    })?
}
