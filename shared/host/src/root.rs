//! One plugin configuration at work: the filter, and what its streams share.

use crate::abi;
use crate::configuration;
use crate::counters::Counters;
use crate::delays::Delays;
use crate::filter::Filter;
use crate::host_call::{HostError, LogLevel};
use crate::reply;
use crate::stream::Stream;
use mesh_policy_core::effect::{LocalReply, SplitMix64};
use mesh_policy_istio::problem::Severity;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// What the streams of one configuration share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub delays: RefCell<Delays>,
    pub random: RefCell<SplitMix64>,
    pub counters: RefCell<Counters>,
    /// Whether a failure stands in the log already: they come once a request, and one line says it.
    pub failure_logged: Cell<bool>,
}

/// One plugin configuration at work.
#[derive(Debug)]
pub struct Root<F> {
    id: u32,
    filter: Option<Rc<F>>,
    shared: Rc<Shared>,
}

impl<F: Filter> Root<F> {
    /// A root context that is not configured yet.
    #[must_use]
    pub fn new(id: u32) -> Self {
        let shared = Shared {
            delays: RefCell::default(),
            random: RefCell::new(SplitMix64::new(0)),
            counters: RefCell::default(),
            failure_logged: Cell::new(false),
        };
        Self { id, filter: None, shared: Rc::new(shared) }
    }

    /// Takes the plugin configuration; `false` refuses it, and the log says why, one line a problem.
    pub fn configure(&mut self) -> bool {
        match getrandom::u64() {
            Ok(seed) => *self.shared.random.borrow_mut() = SplitMix64::new(seed),
            Err(error) => {
                abi::log(LogLevel::Error, &format!("no random numbers: {error}"));
                return false;
            }
        }
        let text = match abi::plugin_configuration() {
            Ok(text) => text,
            Err(HostError { status: crate::Status::NotFound | crate::Status::Empty, .. }) => Vec::new(),
            Err(error) => {
                abi::log(LogLevel::Error, &format!("the plugin configuration cannot be read: {error}"));
                return false;
            }
        };
        let (loaded, problems) = configuration::load::<F>(text);
        for problem in &problems {
            let level = match problem.severity {
                Severity::Error => LogLevel::Error,
                Severity::Warning => LogLevel::Warn,
            };
            abi::log(level, &problem.to_string());
        }
        if let Some(loaded) = &loaded {
            self.shared.delays.borrow_mut().bound(loaded.max_active_faults);
        }
        self.filter = loaded.map(|loaded| Rc::new(loaded.filter));
        self.filter.is_some()
    }

    /// The context of a new stream.
    #[must_use]
    pub fn stream(&self, id: u32) -> Stream<F> {
        Stream::new(id, self.filter.clone(), Rc::clone(&self.shared))
    }

    /// Lets the held requests go on whose time has come.
    pub fn tick(&self) {
        let due = self.shared.delays.borrow_mut().take_due(abi::now());
        for (stream, reply) in due {
            if let Err(error) = resume(stream, reply.as_ref()) {
                abi::log(LogLevel::Error, &format!("a delayed request cannot go on: {error}"));
            }
        }
        let period = self.shared.delays.borrow_mut().period(abi::now());
        let outcome =
            abi::set_effective_context(self.id).and_then(|()| period.map_or(Ok(()), abi::set_tick_period));
        if let Err(error) = outcome {
            abi::log(LogLevel::Error, &error.to_string());
        }
    }
}

fn resume(stream: u32, reply: Option<&LocalReply>) -> Result<(), HostError> {
    abi::set_effective_context(stream)?;
    match reply {
        Some(reply) => reply::send(reply),
        None => abi::continue_request(),
    }
}
