//! `fault`: delays and aborts for a share of requests.

use super::place::Place;
use super::quantity;
use crate::effect::{FaultDecision, LocalReply, Random};
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::virtual_service::{FaultAbort, FaultDelay, HttpFaultInjection};
use std::time::Duration;

/// Faults, each drawn for itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fault {
    delay: Option<(Duration, u32)>,
    abort: Option<(Abort, u32)>,
}

/// How a request fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Abort {
    Http(u16),
    Grpc(u32),
}

const GRPC_STATUS: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

impl Fault {
    /// From the object written at `at`.
    pub(super) fn compile(written: &HttpFaultInjection, at: &Place<'_>, problems: &mut Problems) -> Self {
        let HttpFaultInjection { delay, abort } = written;
        if delay.is_none() && abort.is_none() {
            problems.error(
                at.path(),
                ProblemKind::Missing,
                "expected at least one of `delay` and `abort`, found none",
            );
        }
        Self {
            delay: delay.as_ref().and_then(|delay| compile_delay(delay, &at.field("delay"), problems)),
            abort: abort.as_ref().and_then(|abort| compile_abort(abort, &at.field("abort"), problems)),
        }
    }

    /// Whether any request can meet one.
    pub(super) const fn is_some(&self) -> bool {
        self.delay.is_some() || self.abort.is_some()
    }

    /// Draws what one request meets.
    pub(super) fn draw(&self, random: &mut dyn Random) -> FaultDecision {
        FaultDecision {
            delay: self.delay.filter(|(_, share)| random.happens(*share)).map(|(delay, _)| delay),
            abort: self.abort.filter(|(_, share)| random.happens(*share)).map(|(abort, _)| abort.reply()),
        }
    }
}

impl Abort {
    fn reply(self) -> LocalReply {
        let (status, grpc_status) = match self {
            Self::Http(status) => (status, None),
            Self::Grpc(status) => (200, Some(status)),
        };
        LocalReply {
            status,
            headers: Vec::new(),
            body: b"fault filter abort".to_vec(),
            grpc_status,
            details: "fault_filter_abort".to_owned(),
        }
    }
}

fn compile_delay(written: &FaultDelay, at: &Place<'_>, problems: &mut Problems) -> Option<(Duration, u32)> {
    let FaultDelay { fixed_delay, exponential_delay, percentage, percent } = written;
    if exponential_delay.is_some() {
        problems.error(
            at.field("exponentialDelay").path(),
            ProblemKind::Unsupported,
            "Istio has no exponential delays: expected `fixedDelay`",
        );
    }
    let share = match (percentage, percent) {
        (Some(percentage), _) => quantity::share(percentage, &at.field("percentage"), problems),
        (None, Some(percent)) => {
            problems.warning(
                at.field("percent").path(),
                ProblemKind::Suspicious,
                "`percent` is deprecated in favour of `percentage`",
            );
            quantity::whole_percent((*percent).into(), &at.field("percent"), problems)
        }
        (None, None) => {
            problems
                .warning(at.path(), ProblemKind::Suspicious, "delays no request, as no `percentage` is given")
                .help("add `percentage: {value: 100}` for every request");
            Some(0)
        }
    };
    let Some(fixed_delay) = fixed_delay else {
        if exponential_delay.is_none() {
            let message = "delays no request, as no `fixedDelay` is given";
            problems.warning(at.path(), ProblemKind::Suspicious, message);
        }
        return None;
    };
    let millis = quantity::milliseconds(*fixed_delay, &at.field("fixedDelay"), problems);
    Some((Duration::from_millis(millis?), share?)).filter(|(_, share)| *share > 0)
}

fn compile_abort(written: &FaultAbort, at: &Place<'_>, problems: &mut Problems) -> Option<(Abort, u32)> {
    let FaultAbort { http_status, grpc_status, http2_error, percentage } = written;
    if http2_error.is_some() {
        problems.error(
            at.field("http2Error").path(),
            ProblemKind::Unsupported,
            "Istio has no aborts by HTTP/2 error: expected `httpStatus` or `grpcStatus`",
        );
    }
    let share = match percentage {
        Some(percentage) => quantity::share(percentage, &at.field("percentage"), problems),
        None => {
            problems
                .warning(at.path(), ProblemKind::Suspicious, "aborts no request, as no `percentage` is given")
                .help("add `percentage: {value: 100}` for every request");
            Some(0)
        }
    };
    let abort = match (http_status, grpc_status) {
        (Some(_), Some(_)) => {
            let message = "expected one of `httpStatus` and `grpcStatus`, found both";
            problems.error(at.path(), ProblemKind::Conflict, message);
            None
        }
        (Some(status), None) => {
            quantity::status((*status).into(), &at.field("httpStatus"), problems).map(Abort::Http)
        }
        (None, Some(name)) => grpc_code(name, &at.field("grpcStatus"), problems).map(Abort::Grpc),
        (None, None) => {
            if http2_error.is_none() {
                let message = "aborts no request, as neither `httpStatus` nor `grpcStatus` is given";
                problems.warning(at.path(), ProblemKind::Suspicious, message);
            }
            None
        }
    };
    abort.zip(share).filter(|(_, share)| *share > 0)
}

fn grpc_code(name: &str, at: &Place<'_>, problems: &mut Problems) -> Option<u32> {
    let code = GRPC_STATUS.iter().zip(0..).find(|(known, _)| **known == name).map(|(_, code)| code);
    if code.is_none() {
        let upper = name.to_ascii_uppercase();
        let problem = problems.error(
            at.path(),
            ProblemKind::InvalidValue,
            format!("expected the name of a gRPC status such as `UNAVAILABLE`, found `{name}`"),
        );
        if let Some(near) = GRPC_STATUS.iter().find(|known| **known == upper) {
            problem.help(format!("write `{near}`"));
        } else if upper == "CANCELED" {
            problem.help("write `CANCELLED`");
        } else if let Some(named) = name.parse::<usize>().ok().and_then(|code| GRPC_STATUS.get(code)) {
            problem.help(format!("write `{named}`"));
        }
    }
    code
}
