//! What ends a run: Ctrl-C, SIGTERM, or the end of Envoy.

use crate::failure::Failure;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};

/// The signals that this process has taken over.
#[derive(Debug)]
pub struct Signals(signal_hook::iterator::Signals);

/// What was announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Somebody wants the run to end.
    Stop,
    /// A child process has changed its state.
    Child,
}

impl Signals {
    /// Takes them over: from now on they end nothing by themselves.
    pub fn install() -> Result<Self, Failure> {
        signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP, SIGCHLD])
            .map(Self)
            .map_err(|error| Failure::environment(format!("cannot handle signals: {error}")))
    }

    /// Whether somebody asked for the end since the last call.
    pub fn stop_asked(&mut self) -> bool {
        self.0.pending().filter(|signal| *signal != SIGCHLD).count() > 0
    }

    /// What was announced since the last call.
    pub fn next(&mut self) -> Option<Event> {
        let mut arrived = self.0.pending().peekable();
        arrived.peek()?;
        // Stopping takes care of a child that has ended.
        Some(if arrived.any(|signal| signal != SIGCHLD) { Event::Stop } else { Event::Child })
    }
}
