//! Requests that are held until their time has come.

use mesh_policy_core::effect::LocalReply;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How many requests one VM holds at a time where the configuration does not say. Beyond it no fault is injected, as Envoy
/// does beyond its `max_active_faults`, which by default has no bound: there a held request costs nothing but itself, here
/// it also takes the filter's memory.
pub const MAX_ACTIVE_FAULTS: usize = 16_384;

/// A held request: when it goes on, and the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Held {
    due: Instant,
    stream: u32,
}

/// The held requests, soonest first, each with the answer it gets then, if it gets one and does not go on.
#[derive(Debug)]
pub struct Delays {
    held: BTreeMap<Held, Option<LocalReply>>,
    most: usize,
    /// When the next tick comes; `None` when nothing ticks.
    tick: Option<Instant>,
}

impl Default for Delays {
    fn default() -> Self {
        Self { held: BTreeMap::new(), most: MAX_ACTIVE_FAULTS, tick: None }
    }
}

impl Delays {
    /// Holds `most` requests at a time from now on.
    pub const fn bound(&mut self, most: usize) {
        self.most = most;
    }

    /// Whether another fault would be one too many.
    pub fn is_full(&self) -> bool {
        self.held.len() >= self.most
    }

    /// Holds a stream for `delay`.
    pub fn hold(&mut self, stream: u32, now: Instant, delay: Duration, reply: Option<LocalReply>) -> Held {
        // A delay beyond what the clock can say never ends by itself; a day is as good for a request.
        let due = now.checked_add(delay).unwrap_or(now + Duration::from_secs(86_400));
        let held = Held { due, stream };
        self.held.insert(held, reply);
        held
    }

    /// Forgets a stream that ended, or began to answer, before its time: to resume it then would be an error.
    pub fn forget(&mut self, held: Held) {
        self.held.remove(&held);
    }

    /// Takes the streams whose time has come, soonest first.
    pub fn take_due(&mut self, now: Instant) -> Vec<(u32, Option<LocalReply>)> {
        self.tick = None;
        let later = self.held.split_off(&Held { due: now + Duration::from_nanos(1), stream: 0 });
        std::mem::replace(&mut self.held, later)
            .into_iter()
            .map(|(held, reply)| (held.stream, reply))
            .collect()
    }

    /// The tick period to set so that the next stream is in time, in milliseconds, 0 to stop; `None` when it stays.
    pub fn period(&mut self, now: Instant) -> Option<u32> {
        let Some((next, _)) = self.held.first_key_value() else {
            // A tick that is on its way finds nothing and stops itself.
            return if self.tick.is_none() { Some(0) } else { None };
        };
        if self.tick.is_some_and(|tick| tick <= next.due) {
            return None;
        }
        self.tick = Some(next.due);
        let wait = next.due.saturating_duration_since(now);
        // Rounded up: a tick too early would have to be followed by another.
        let milliseconds = wait.as_micros().div_ceil(1000).max(1);
        Some(u32::try_from(milliseconds).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn streams_come_out_when_due_and_soonest_first() {
        let (mut delays, start) = (Delays::default(), Instant::now());
        delays.hold(1, start, ms(300), None);
        delays.hold(2, start, ms(100), None);
        delays.hold(3, start, ms(100), None);
        assert_eq!(delays.take_due(start + ms(99)), []);
        assert_eq!(delays.take_due(start + ms(100)), [(2, None), (3, None)]);
        assert_eq!(delays.take_due(start + ms(1000)), [(1, None)]);
        assert_eq!(delays.take_due(start + ms(2000)), []);
    }

    #[test]
    fn the_period_follows_the_next_stream_and_stops_behind_the_last() {
        let (mut delays, start) = (Delays::default(), Instant::now());
        delays.hold(1, start, ms(300), None);
        assert_eq!(delays.period(start), Some(300));
        delays.hold(2, start, ms(500), None);
        assert_eq!(delays.period(start), None, "a later one changes nothing");
        delays.hold(3, start, Duration::from_micros(99_001), None);
        assert_eq!(delays.period(start), Some(100), "an earlier one does, rounded up");
        assert_eq!(delays.take_due(start + ms(100)).len(), 1);
        assert_eq!(delays.period(start + ms(100)), Some(200));
        assert_eq!(delays.take_due(start + ms(300)).len(), 1);
        assert_eq!(delays.take_due(start + ms(500)).len(), 1);
        assert_eq!(delays.period(start + ms(500)), Some(0));
    }

    #[test]
    fn a_stream_already_due_is_ticked_at_once_and_not_with_period_zero() {
        let (mut delays, start) = (Delays::default(), Instant::now());
        delays.hold(1, start, ms(1), None);
        assert_eq!(delays.period(start + ms(5)), Some(1));
    }

    #[test]
    fn a_forgotten_stream_never_comes_out() {
        let (mut delays, start) = (Delays::default(), Instant::now());
        let held = delays.hold(1, start, ms(10), None);
        delays.hold(2, start, ms(10), None);
        delays.forget(held);
        assert_eq!(delays.take_due(start + ms(10)), [(2, None)]);
    }

    #[test]
    fn waiting_streams_are_bounded() {
        let (mut delays, start) = (Delays::default(), Instant::now());
        for stream in 0..u32::try_from(MAX_ACTIVE_FAULTS).unwrap() {
            assert!(!delays.is_full());
            delays.hold(stream, start, ms(1), None);
        }
        assert!(delays.is_full());
    }

    #[test]
    fn the_bound_can_be_chosen() {
        let (mut delays, start) = (Delays::default(), Instant::now());
        delays.bound(1);
        assert!(!delays.is_full());
        let held = delays.hold(1, start, ms(1), None);
        assert!(delays.is_full());
        delays.forget(held);
        assert!(!delays.is_full());
        delays.bound(0);
        assert!(delays.is_full());
    }

    #[test]
    fn a_delay_beyond_the_clock_does_not_overflow() {
        let mut delays = Delays::default();
        delays.hold(1, Instant::now(), Duration::MAX, None);
        assert_eq!(delays.period(Instant::now()).map(|period| period > 86_000_000), Some(true));
    }
}
