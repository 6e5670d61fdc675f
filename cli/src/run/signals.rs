//! What ends a run: Ctrl-C, SIGTERM, or the end of Envoy.

use crate::failure::Failure;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};

/// The signals that this process has taken over.
#[derive(Debug)]
pub struct Signals {
    arriving: signal_hook::iterator::Signals,
    /// What has arrived and was not asked for yet.
    stop: bool,
    child: bool,
}

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
        let arriving = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP, SIGCHLD])
            .map_err(|error| Failure::environment(format!("cannot handle signals: {error}")))?;
        Ok(Self { arriving, stop: false, child: false })
    }

    /// Whether somebody asked for the end since the last call.
    pub fn stop_asked(&mut self) -> bool {
        self.collect();
        std::mem::take(&mut self.stop)
    }

    /// The same, for who passes it on: the next call that asks for it hears of it, too.
    pub fn stop_is_waiting(&mut self) -> bool {
        self.collect();
        self.stop
    }

    /// What was announced since the last call.
    pub fn next(&mut self) -> Option<Event> {
        self.collect();
        let child = std::mem::take(&mut self.child);
        if std::mem::take(&mut self.stop) {
            // Stopping takes care of a child that has ended.
            return Some(Event::Stop);
        }
        child.then_some(Event::Child)
    }

    fn collect(&mut self) {
        for signal in self.arriving.pending() {
            if signal == SIGCHLD {
                self.child = true;
            } else {
                self.stop = true;
            }
        }
    }
}
