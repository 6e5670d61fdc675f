//! Who runs on which core: Envoy on one, both ends of its connections on another, so that they do not take turns.

use std::fs;

use rustix::{
    process::Pid,
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};

use crate::{Context, Result};

/// The cores of a measurement; nobody is moved where there is only one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cores {
    split: Option<(usize, usize)>,
}

impl Cores {
    /// Splits the cores that this thread may use, and moves it to that of the ends.
    ///
    /// # Errors
    /// The system does not say, or refuses.
    pub fn split() -> Result<Self> {
        let allowed = sched_getaffinity(None).context("asking for the cores")?;
        let mut allowed = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        let cores = Self { split: allowed.next().zip(allowed.next()) };
        cores.stay()?;
        Ok(cores)
    }

    /// Runs `start` on both cores: Envoy loads its configuration while threads of V8 compile its modules.
    ///
    /// # Errors
    /// That of `start`, or the system refuses.
    pub fn on_both<T>(self, start: impl FnOnce() -> Result<T>) -> Result<T> {
        if let Some((envoy, ends)) = self.split {
            pin(None, &[envoy, ends])?;
        }
        let started = start();
        self.stay()?;
        started
    }

    /// Moves all threads of an Envoy that has started to its core.
    ///
    /// # Errors
    /// There is no such process, or the system refuses.
    pub fn hold(self, envoy: u32) -> Result<()> {
        let Some((core, _)) = self.split else { return Ok(()) };
        let tasks = fs::read_dir(format!("/proc/{envoy}/task")).context("the threads of Envoy")?;
        for task in tasks {
            let task = task.context("a thread of Envoy")?.file_name();
            let thread = task.to_str().and_then(|id| id.parse().ok()).and_then(Pid::from_raw);
            pin(Some(thread.context("a thread has a number")?), &[core])?;
        }
        Ok(())
    }

    fn stay(self) -> Result<()> {
        self.split.map_or(Ok(()), |(_, ends)| pin(None, &[ends]))
    }

    /// In words.
    pub fn describe(self) -> String {
        match self.split {
            Some((envoy, ends)) => format!("Envoy on core {envoy}, client and upstream on core {ends}"),
            None => "one core for all".to_owned(),
        }
    }
}

/// Moves a thread, this one when none is named.
fn pin(thread: Option<Pid>, cores: &[usize]) -> Result<()> {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core);
    }
    sched_setaffinity(thread, &set).context(format_args!("moving to core {cores:?}"))
}

/// How many threads wanted to run, on average over the last minute; none where the system does not say.
pub fn load_average() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}
