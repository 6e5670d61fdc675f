//! Work that is not measured by the clock, several pieces at a time.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use crate::{Context, Result};

/// Does each job, at most `at_a_time` of them at once, and gives what came of them in their order. After an error no further
/// job is begun.
///
/// # Errors
/// The first error, in the order of the jobs.
pub fn side_by_side<J: Sync, T: Send>(
    jobs: &[J],
    at_a_time: usize,
    work: impl Fn(usize, &J) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Result<T>)>> = Mutex::default();
    thread::scope(|scope| {
        for _ in 0..at_a_time {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(index) else { break };
                    let result = work(index, job);
                    if result.is_err() {
                        next.store(jobs.len(), Ordering::Relaxed);
                    }
                    done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((index, result));
                }
            });
        }
    });
    let mut done = done.into_inner().context("the results of the jobs")?;
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn results_come_in_the_order_of_the_jobs() {
        let jobs: Vec<u64> = (0..9).collect();
        let slow_first = |_, job: &u64| {
            thread::sleep(std::time::Duration::from_millis(9 - job));
            Ok(job * 2)
        };
        assert_eq!(side_by_side(&jobs, 3, slow_first).unwrap(), [0, 2, 4, 6, 8, 10, 12, 14, 16]);
    }

    #[test]
    fn an_error_ends_the_rest() {
        let begun = AtomicUsize::new(0);
        let second_fails = |index, _: &u64| {
            begun.fetch_add(1, Ordering::Relaxed);
            if index == 1 { Err(Error::new("no")) } else { Ok(()) }
        };
        let error = side_by_side(&[0; 50], 1, second_fails).unwrap_err();
        assert_eq!((error.to_string(), begun.into_inner()), ("no".to_owned(), 2));
    }
}
