//! Ctrl-C: nothing is left running, so it ends the rows, not the process.

use std::{
    sync::{Arc, atomic::AtomicBool, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
};

use crate::{Context, Error, Result};

const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Whether somebody asked for the end.
#[derive(Clone, Debug)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Takes over the signals that ask for the end. The second one ends the process at once: then the kernel's closing of
    /// our pipes ends the children.
    pub fn on_signals() -> Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // In this order: the first signal finds the flag unset.
            flag::register_conditional_shutdown(signal, 130, Arc::clone(&asked))
                .and_then(|_| flag::register(signal, Arc::clone(&asked)))
                .context("handling signals")?;
        }
        Ok(Self(asked))
    }

    /// Whether the end was asked for.
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// An error once the end was asked for: `?` leaves the rows.
    pub fn check(&self) -> Result<()> {
        if self.asked() { Err(Error::new("stopped")) } else { Ok(()) }
    }

    /// Waits, but not past the wish for the end.
    pub fn wait(&self, time: Duration) {
        let end = Instant::now() + time;
        while !self.asked() && Instant::now() < end {
            thread::sleep(BETWEEN_LOOKS);
        }
    }
}
