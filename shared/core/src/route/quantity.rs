//! Numbers with bounds: durations, shares, ports and status codes.

use super::place::Place;
use mesh_policy_istio::decode::Timespan;
use mesh_policy_istio::node::Number;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::virtual_service::Percent;

/// A share that stands for all requests.
pub(super) const ALL: u32 = 1_000_000;

/// A duration in milliseconds: whole ones, at least one.
pub(super) fn milliseconds(span: Timespan, at: &Place<'_>, problems: &mut Problems) -> Option<u64> {
    let millis = span.whole_millis().filter(|millis| *millis > 0);
    if millis.is_none() {
        let found = match span.duration() {
            Some(found) if found.is_zero() => "`0s`".to_owned(),
            Some(found) => format!("`{found:?}`"),
            None => "a negative duration or one too long to count".to_owned(),
        };
        problems.error(
            at.path(),
            ProblemKind::InvalidValue,
            format!("expected a duration of whole milliseconds, at least `1ms`, found {found}"),
        );
    }
    millis
}

/// A share in parts of a million, below what Istio can tell from nothing refused.
pub(super) fn share(percent: &Percent, at: &Place<'_>, problems: &mut Problems) -> Option<u32> {
    let Percent { value } = percent;
    let value = value.unwrap_or_default();
    if value == 0.0 || (0.0001..=100.0).contains(&value) {
        return Some(parts_per_million(value));
    }
    problems.error(
        at.field("value").path(),
        ProblemKind::InvalidValue,
        format!("expected 0 or a percentage from 0.0001 to 100, found `{}`", written(value)),
    );
    None
}

/// A share of mirrored requests: Istio refuses only what lies outside of 0 to 100.
pub(super) fn mirror_share(percent: &Percent, at: &Place<'_>, problems: &mut Problems) -> Option<u32> {
    let Percent { value } = percent;
    let value = value.unwrap_or_default();
    if (0.0..=100.0).contains(&value) {
        return Some(parts_per_million(value));
    }
    problems.error(
        at.field("value").path(),
        ProblemKind::InvalidValue,
        format!("expected a percentage from 0 to 100, found `{}`", written(value)),
    );
    None
}

/// As in JSON: the standard library's way to write such a number takes 20 KB.
fn written(number: f64) -> String {
    let text = Number::from_f64(number).map(|number| number.to_string()).unwrap_or_default();
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

/// Istio cuts what is finer than a millionth.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked: from 0 to 100, and cutting is meant"
)]
fn parts_per_million(percent: f64) -> u32 {
    (percent * 10_000.0) as u32
}

/// A share in whole percent.
pub(super) fn whole_percent(percent: i64, at: &Place<'_>, problems: &mut Problems) -> Option<u32> {
    let share = u32::try_from(percent).ok().filter(|percent| *percent <= 100).map(|percent| percent * 10_000);
    if share.is_none() {
        problems.error(
            at.path(),
            ProblemKind::InvalidValue,
            format!("expected a percentage from 0 to 100, found `{percent}`"),
        );
    }
    share
}

/// A port.
pub(super) fn port(number: u32, at: &Place<'_>, problems: &mut Problems) -> Option<u16> {
    let port = u16::try_from(number).ok().filter(|port| *port != 0);
    if port.is_none() {
        problems.error(
            at.path(),
            ProblemKind::InvalidValue,
            format!("expected a port from 1 to 65535, found `{number}`"),
        );
    }
    port
}

/// The status of an answer: Envoy refuses 600, which Istio lets pass.
pub(super) fn status(status: i64, at: &Place<'_>, problems: &mut Problems) -> Option<u16> {
    let code = u16::try_from(status).ok().filter(|code| (200..600).contains(code));
    if code.is_none() {
        problems.error(
            at.path(),
            ProblemKind::InvalidValue,
            format!("expected a status from 200 to 599, found `{status}`"),
        );
    }
    code
}
