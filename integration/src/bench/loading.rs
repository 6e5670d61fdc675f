//! How long a configuration takes to load, as Envoy's own log tells it.

use std::time::Duration;

use serde_json::{Value, json};

/// What every line of the log begins with, to the microsecond.
const FORMAT: &str = "%H:%M:%S.%f %v";

/// The part of a bootstrap that makes Envoy write it so.
pub fn log_format() -> Value {
    json!({ "application_log_config": { "log_format": { "text_format": FORMAT } } })
}

/// How long each VM took to configure its plugins, in the order of the log: between the call of `proxy_on_configure` and its
/// return. One plugin is configured once by each VM: two on the main thread, one on each worker.
pub fn configure_times(log: &str) -> Vec<Duration> {
    let mut times = Vec::new();
    let mut called = None;
    for line in log.lines() {
        let Some((time, text)) = line.split_once(' ') else { continue };
        if text.contains("[host->vm] proxy_on_configure(") {
            called = time_of_day(time);
        } else if text.contains("[host<-vm] proxy_on_configure return")
            && let (Some(begin), Some(end)) = (called.take(), time_of_day(time))
        {
            // Past midnight the clock begins anew.
            times.push(end.checked_sub(begin).unwrap_or(end + Duration::from_hours(24) - begin));
        }
    }
    times
}

/// `HH:MM:SS.micros`
fn time_of_day(text: &str) -> Option<Duration> {
    let mut parts = text.split([':', '.']).map(|part| part.parse::<u64>().ok());
    let mut next = || parts.next().flatten();
    let (hours, minutes, seconds, micros) = (next()?, next()?, next()?, next()?);
    Some(Duration::from_secs((hours * 60 + minutes) * 60 + seconds) + Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_tells_how_long_each_vm_took() {
        let log = "11:47:59.818538 [host->vm] proxy_on_configure(1, 1242)\n\
                   11:47:59.818588 [vm->host] wasi_snapshot_preview1.random_get(1048176, 8)\n\
                   11:47:59.819045 [host<-vm] proxy_on_configure return: 1\n\
                   something else\n\
                   23:59:59.999000 [host->vm] proxy_on_configure(1, 1242)\n\
                   00:00:00.002000 [host<-vm] proxy_on_configure return: 1\n";
        assert_eq!(configure_times(log), [Duration::from_micros(507), Duration::from_millis(3)]);
    }
}
