//! Who runs on which core: Envoy on one, both ends of its connections on another, so that they do not take turns.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use rustix::{
    process::Pid,
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};

use crate::{Context, Result, usage};

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

/// The columns of `/proc/stat` that count time in which nothing ran.
const IDLE: [usize; 2] = [3, 4];

/// From here on the columns count again what others have: guests are in `user`.
const GUESTS: usize = 8;

/// What the machine's processors have done since it started, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ticks {
    /// With what the host took for itself where this is a guest.
    busy: u64,
    all: u64,
    cores: usize,
}

impl Ticks {
    fn read() -> Option<Self> {
        Self::of(&fs::read_to_string("/proc/stat").ok()?)
    }

    fn of(stat: &str) -> Option<Self> {
        let columns = stat.lines().find_map(|line| line.strip_prefix("cpu "))?.split_whitespace();
        // One line for each core, behind the one for all of them.
        let cores = stat.lines().filter(|line| line.starts_with("cpu")).count().saturating_sub(1);
        let mut ticks = Self { busy: 0, all: 0, cores };
        for (column, count) in columns.take(GUESTS).enumerate() {
            let count: u64 = count.parse().ok()?;
            ticks.all += count;
            if !IDLE.contains(&column) {
                ticks.busy += count;
            }
        }
        Some(ticks)
    }
}

/// How many cores others keep busy, watched for `long` in which this process sleeps: what is used, without these processes;
/// none where the system does not say.
///
/// # Errors
/// One of the processes has ended.
pub fn busy_with_others(long: Duration, own: &[u32]) -> Result<Option<f64>> {
    let own_time = || own.iter().map(|id| usage::processor_time(*id)).sum::<Result<Duration>>();
    let (own_before, before, begun) = (own_time()?, Ticks::read(), Instant::now());
    thread::sleep(long);
    let (elapsed, after, own_after) = (begun.elapsed(), Ticks::read(), own_time()?);
    let own = own_after.saturating_sub(own_before).as_secs_f64() / elapsed.as_secs_f64();
    let Some((before, after)) = before.zip(after) else { return Ok(None) };
    let (busy, all) = (after.busy.saturating_sub(before.busy), after.all.saturating_sub(before.all));
    let cores = busy as f64 / all.max(1) as f64 * after.cores as f64;
    Ok(Some((cores - own).max(0.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_idle_or_counted_twice_is_not_busy() {
        let stat = "cpu  10 1 20 500 40 0 3 6 7 8\ncpu0 5 1 10 250 20 0 2 3 4 5\ncpu1 5 0 10 250 20 0 1 3 3 3\nintr 1\n";
        assert_eq!(Ticks::of(stat), Some(Ticks { busy: 40, all: 580, cores: 2 }));
        assert_eq!(Ticks::of("intr 1\n"), None);
    }

    #[test]
    fn who_else_works_is_seen_and_the_own_process_is_not_counted() {
        let mut child = std::process::Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        let long = Duration::from_millis(400);
        let others = busy_with_others(long, &[]).unwrap();
        let without = busy_with_others(long, &[child.id()]).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        // A machine that is busy anyway may give the child little; it never gets nothing.
        assert!(others.is_some_and(|cores| cores > 0.1), "{others:?}");
        assert!(without < others.map(|cores| cores + 1.0), "{without:?} of {others:?}");
    }
}
