//! `timeout` and `retries`, said to Envoy's router in the headers that it obeys.

use super::place::Place;
use super::profile::OwnRetries;
use super::quantity;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::virtual_service::HttpRetry;

/// A header that Envoy's router obeys, and its value.
pub(super) type Order = (&'static str, String);

/// The name under which the router takes the bound on the whole request.
pub(super) const TIMEOUT: &str = "x-envoy-upstream-rq-timeout-ms";

const PER_TRY_TIMEOUT: &str = "x-envoy-upstream-rq-per-try-timeout-ms";
const MAX_RETRIES: &str = "x-envoy-max-retries";
const RETRY_ON: &str = "x-envoy-retry-on";
const RETRY_GRPC_ON: &str = "x-envoy-retry-grpc-on";
const STATUS_CODES: &str = "x-envoy-retriable-status-codes";

/// Istio's conditions for rules that name none.
const DEFAULT_RETRY_ON: &str = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";

const BY_STATUS_CODE: &str = "retriable-status-codes";

const HTTP_CONDITIONS: [&str; 11] = [
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "retriable-4xx",
    "refused-stream",
    BY_STATUS_CODE,
    "retriable-headers",
    "envoy-ratelimited",
    "http3-post-connect-failure",
];

const GRPC_CONDITIONS: [&str; 5] =
    ["cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"];

/// Whether Go's standard library has a name for the status, which is what Istio goes by.
const fn is_named_status(code: u32) -> bool {
    matches!(
        code,
        100..=103 | 200..=208 | 226 | 300..=305 | 307 | 308 | 400..=418 | 421..=426 | 428 | 429 | 431 | 451
            | 500..=508 | 510 | 511
    )
}

/// The `retries` written at `at`: what its route must have, and the orders for the router.
pub(super) fn compile(
    written: &HttpRetry,
    at: &Place<'_>,
    problems: &mut Problems,
) -> (OwnRetries, Vec<Order>) {
    let HttpRetry {
        attempts,
        per_try_timeout,
        retry_on,
        retriable_status_codes,
        retry_remote_localities,
        retry_ignore_previous_hosts,
        backoff,
    } = written;
    let count = attempts.unwrap_or_default();
    let retry_on = retry_on.as_deref().filter(|conditions| !conditions.is_empty());
    if count < 0 {
        let message = format!("expected 0 attempts or more, found `{count}`");
        problems.error(at.field("attempts").path(), ProblemKind::InvalidValue, message);
    }
    if count == 0 {
        for (field, written) in [
            ("perTryTimeout", per_try_timeout.is_some()),
            ("retryOn", retry_on.is_some()),
            ("retriableStatusCodes", !retriable_status_codes.is_empty()),
            ("retryRemoteLocalities", retry_remote_localities.is_some()),
        ] {
            if written {
                let message = format!("`{field}` needs retries, and `attempts` is 0");
                let problem = problems.error(at.field(field).path(), ProblemKind::Conflict, message);
                if attempts.is_none() {
                    problem.help("give the number of retries in `attempts`");
                }
            }
        }
    }
    let backoff_ms = backoff.and_then(|span| quantity::milliseconds(span, &at.field("backoff"), problems));
    let per_try_timeout =
        per_try_timeout.and_then(|span| quantity::milliseconds(span, &at.field("perTryTimeout"), problems));
    let mut conditions =
        Conditions::read(retry_on.unwrap_or(DEFAULT_RETRY_ON), &at.field("retryOn"), problems);
    let below = at.field("retriableStatusCodes");
    for (index, code) in retriable_status_codes.iter().enumerate() {
        if !(100..600).contains(code) {
            let message = format!("expected a status from 100 to 599, found `{code}`");
            problems.error(below.index(index).path(), ProblemKind::InvalidValue, message);
        }
        conditions.add_code(*code);
    }
    let own = OwnRetries {
        avoid_tried_hosts: retry_ignore_previous_hosts.unwrap_or(true),
        remote_localities: retry_remote_localities.unwrap_or_default(),
        backoff_ms,
    };
    let mut orders = Vec::new();
    if count > 0 {
        orders.push((MAX_RETRIES, count.to_string()));
        conditions.push_orders(&mut orders);
        orders.extend(per_try_timeout.map(|millis| (PER_TRY_TIMEOUT, millis.to_string())));
    }
    (own, orders)
}

/// The bound on each try that `orders` name.
pub(super) fn per_try_timeout_ms(orders: &[Order]) -> Option<u64> {
    orders.iter().find(|(name, _)| *name == PER_TRY_TIMEOUT).and_then(|(_, value)| value.parse().ok())
}

/// What counts as a failure worth another try.
#[derive(Debug, Default)]
struct Conditions {
    http: Vec<&'static str>,
    grpc: Vec<&'static str>,
    codes: Vec<String>,
}

impl Conditions {
    fn read(list: &str, at: &Place<'_>, problems: &mut Problems) -> Self {
        let mut conditions = Self::default();
        let find = |known: &[&'static str], item: &str| known.iter().copied().find(|word| *word == item);
        for item in list.split(',') {
            if let Some(word) = find(&HTTP_CONDITIONS, item) {
                conditions.http.push(word);
            } else if let Some(word) = find(&GRPC_CONDITIONS, item) {
                conditions.grpc.push(word);
            } else if let Some(code) = item.parse().ok().filter(|code| is_named_status(*code)) {
                conditions.add_code(code);
            } else {
                let problem = problems.error(
                    at.path(),
                    ProblemKind::InvalidValue,
                    format!("expected retry conditions of Envoy or registered status codes, separated by commas, found `{item}`"),
                );
                let bare = item.trim();
                if bare != item
                    && (find(&HTTP_CONDITIONS, bare).is_some() || find(&GRPC_CONDITIONS, bare).is_some())
                {
                    problem.help("remove the space");
                }
            }
        }
        conditions
    }

    fn add_code(&mut self, code: u32) {
        let code = code.to_string();
        if !self.codes.contains(&code) {
            self.codes.push(code);
        }
        if !self.http.contains(&BY_STATUS_CODE) {
            self.http.push(BY_STATUS_CODE);
        }
    }

    fn push_orders(self, orders: &mut Vec<Order>) {
        let Self { http, grpc, codes } = self;
        for (name, value) in
            [(RETRY_ON, http.join(",")), (RETRY_GRPC_ON, grpc.join(",")), (STATUS_CODES, codes.join(","))]
        {
            if !value.is_empty() {
                orders.push((name, value));
            }
        }
    }
}
