//! Who runs on which core: Envoy on one, both ends of its connections on another, so that they do not take turns.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::{Context, Result};

/// The cores of a measurement; none where there is only one.
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

    /// Runs `start` where Envoy belongs: what it starts stays there.
    ///
    /// # Errors
    /// That of `start`, or the system refuses.
    pub fn for_envoy<T>(self, start: impl FnOnce() -> Result<T>) -> Result<T> {
        if let Some((envoy, _)) = self.split {
            pin(envoy)?;
        }
        let started = start();
        self.stay()?;
        started
    }

    fn stay(self) -> Result<()> {
        self.split.map_or(Ok(()), |(_, ends)| pin(ends))
    }

    /// In words.
    pub fn describe(self) -> String {
        match self.split {
            Some((envoy, ends)) => format!("Envoy on core {envoy}, client and upstream on core {ends}"),
            None => "one core for all".to_owned(),
        }
    }
}

fn pin(core: usize) -> Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).context(format_args!("moving to core {core}"))
}

/// How many threads wanted to run, on average over the last minute; none where the system does not say.
pub fn load_average() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}
