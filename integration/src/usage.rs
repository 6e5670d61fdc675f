//! What a process uses, as the kernel counts it.

use std::{fs, path::PathBuf, time::Duration};

use crate::{Context, Result};

/// Memory in use, in KiB.
///
/// # Errors
/// There is no such process, or no `/proc`.
pub fn resident_kib(id: u32) -> Result<u64> {
    number(&PathBuf::from(format!("/proc/{id}/status")), "VmRSS:")
}

/// How often the threads of a process whose names begin with `thread` went to sleep: each time, something woke them. A
/// thread that does nothing does not count up.
///
/// # Errors
/// There is no such process, or no `/proc`.
pub fn sleeps(id: u32, thread: &str) -> Result<u64> {
    let mut sum = 0;
    let tasks = fs::read_dir(format!("/proc/{id}/task")).context("the threads of the process")?;
    for task in tasks {
        let task = task.context("a thread of the process")?.path();
        let name = fs::read_to_string(task.join("comm")).context("the name of a thread")?;
        if name.starts_with(thread) {
            sum += number(&task.join("status"), "voluntary_ctxt_switches:")?;
        }
    }
    Ok(sum)
}

/// The processor time that the threads of a process have used, in user and kernel mode, as the scheduler counts it: to the
/// nanosecond for threads that are not running.
///
/// # Errors
/// There is no such process, no `/proc`, or a kernel without `CONFIG_SCHED_INFO`.
pub fn processor_time(id: u32) -> Result<Duration> {
    let mut sum = Duration::ZERO;
    let tasks = fs::read_dir(format!("/proc/{id}/task")).context("the threads of the process")?;
    for task in tasks {
        let file = task.context("a thread of the process")?.path().join("schedstat");
        let text = fs::read_to_string(&file).context(file.display())?;
        let used = text.split_whitespace().next().and_then(|first| first.parse().ok());
        sum += Duration::from_nanos(used.context(format_args!("no number in `{}`", file.display()))?);
    }
    Ok(sum)
}

/// The number in the line of `file` that begins with `key`.
fn number(file: &PathBuf, key: &str) -> Result<u64> {
    let text = fs::read_to_string(file).context(file.display())?;
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse().ok());
    value.context(format_args!("no number `{key}` in `{}`", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{process, thread, time::Duration};

    #[test]
    fn work_takes_processor_time_and_waiting_takes_next_to_none() {
        let mut child = process::Command::new("sh")
            .args(["-c", "i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done; echo done; read -r _"])
            .stdin(process::Stdio::piped())
            .stdout(process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = [0; 5];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line).unwrap();
        let worked = processor_time(child.id()).unwrap();
        thread::sleep(Duration::from_millis(20));
        let waited = processor_time(child.id()).unwrap() - worked;
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(worked > Duration::from_millis(1), "{worked:?}");
        assert!(waited < worked, "{waited:?}");
    }

    #[test]
    fn a_thread_that_sleeps_is_counted_and_memory_is_seen() {
        let id = process::id();
        assert!(resident_kib(id).unwrap() > 1000);
        let worker = thread::Builder::new().name("drowsy".to_owned()).spawn(move || {
            let before = sleeps(id, "drowsy").unwrap();
            (0..50).for_each(|_| thread::sleep(Duration::from_millis(1)));
            sleeps(id, "drowsy").unwrap() - before
        });
        assert!(worker.unwrap().join().unwrap() >= 50);
        assert_eq!(sleeps(id, "no such thread").unwrap(), 0);
    }
}
