//! One request on its way through a filter.

use crate::abi;
use crate::content_type;
use crate::delays::Held;
use crate::facts::Facts;
use crate::failure::Failure;
use crate::filter::Filter;
use crate::host_call::{Action, HostError, LogLevel, Map};
use crate::kept::{Change, KeptEdits};
use crate::plan::Plan;
use crate::reply;
use crate::root::Shared;
use mesh_policy_core::effect::{FaultDecision, LocalReply};
use mesh_policy_core::request::{HeaderMap, RequestView};
use std::rc::Rc;
use std::time::Duration;

/// One request on its way through a filter.
#[derive(Debug)]
pub struct Stream<F> {
    id: u32,
    /// Until the request has been judged.
    filter: Option<Rc<F>>,
    shared: Rc<Shared>,
    response_edits: KeptEdits,
    held: Option<Held>,
}

impl<F: Filter> Stream<F> {
    pub(crate) fn new(id: u32, filter: Option<Rc<F>>, shared: Rc<Shared>) -> Self {
        Self { id, filter, shared, response_edits: KeptEdits::default(), held: None }
    }

    /// The request's headers have arrived.
    pub fn on_request(&mut self) -> Action {
        let judged = match self.filter.take() {
            None => Err(Failure::NotConfigured),
            Some(filter) if filter.is_idle() => return Action::Continue,
            Some(filter) => self.judge(&*filter),
        };
        judged.unwrap_or_else(|failure| self.refuse(failure))
    }

    /// Whether nothing is left to do: it is not held, and the response stays as it is.
    pub(crate) fn is_done(&self) -> bool {
        self.held.is_none() && self.response_edits.is_empty()
    }

    fn judge(&mut self, filter: &F) -> Result<Action, Failure> {
        let buffer = abi::header_map(Map::RequestHeaders)?;
        let headers = HeaderMap::parse(&buffer)?;
        let facts = Facts::default();
        let request = RequestView::new(&headers, &facts);
        let mut plan = filter.decide(&request, &mut *self.shared.random.borrow_mut());
        facts.complete()?;
        plan.leave_out_idle_removals(&headers);
        let action = self.carry_out(plan)?;
        abi::reuse(buffer);
        Ok(action)
    }

    fn carry_out(&mut self, plan: Plan<'_>) -> Result<Action, HostError> {
        let Plan {
            filter_state,
            counters,
            request_edits,
            response_edits,
            unaborted_response_edits,
            fault,
            reply,
        } = plan;
        for (key, value) in filter_state {
            abi::set_filter_state(key, value.as_bytes())?;
        }
        for counter in counters {
            self.shared.counters.borrow_mut().count(counter);
        }
        let fault = if self.shared.delays.borrow().is_full() { FaultDecision::default() } else { fault };
        let is_aborted = fault.abort.is_some();
        let reply = fault.abort.or(reply);
        if reply.is_none() {
            request_edits.iter().try_for_each(|edit| Change::from(edit).apply(Map::RequestHeaders))?;
        }
        self.response_edits.keep(&response_edits);
        if !is_aborted {
            self.response_edits.keep(&unaborted_response_edits);
        }
        match (fault.delay, reply) {
            (Some(delay), reply) => self.hold(delay, reply)?,
            (None, Some(reply)) => reply::send(&reply)?,
            (None, None) => return Ok(Action::Continue),
        }
        Ok(Action::Pause)
    }

    fn hold(&mut self, delay: Duration, reply: Option<LocalReply>) -> Result<(), HostError> {
        let now = abi::now();
        let period = {
            let mut delays = self.shared.delays.borrow_mut();
            self.held = Some(delays.hold(self.id, now, delay, reply));
            delays.period(now)
        };
        period.map_or(Ok(()), abi::set_tick_period)
    }

    /// Answers a request that could not be judged.
    fn refuse(&mut self, failure: Failure) -> Action {
        self.forget();
        if !self.shared.failure_logged.replace(true) {
            abi::log(LogLevel::Error, &format!("requests are refused: {failure}"));
        } else if abi::logs(LogLevel::Debug) {
            abi::log(LogLevel::Debug, &format!("request refused: {failure}"));
        }
        if let Err(error) = reply::send(&failure.local_reply()) {
            // Paused for good, until Envoy's own timeouts end it: still not let through.
            abi::log(LogLevel::Error, &format!("a refused request cannot be answered: {error}"));
        }
        Action::Pause
    }

    /// The response's headers have arrived, from upstream or as a local reply of any filter, this one included.
    pub fn on_response(&mut self) {
        self.forget();
        let edits = std::mem::take(&mut self.response_edits);
        match content_type::settled(&edits) {
            Some(edits) => edits.iter().for_each(|edit| change_response(edit.into())),
            None => edits.iter().for_each(change_response),
        }
    }
}

impl<F> Stream<F> {
    fn forget(&mut self) {
        if let Some(held) = self.held.take()
            && let Ok(mut delays) = self.shared.delays.try_borrow_mut()
        {
            delays.forget(held);
        }
    }
}

/// A stream that is gone must not be resumed.
impl<F> Drop for Stream<F> {
    fn drop(&mut self) {
        self.forget();
    }
}

fn change_response(change: Change<'_>) {
    if let Err(error) = change.apply(Map::ResponseHeaders) {
        abi::log(LogLevel::Error, &format!("a response header cannot be changed: {error}"));
    }
}

#[cfg(test)]
mod tests;
