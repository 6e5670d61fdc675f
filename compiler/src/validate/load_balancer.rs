//! `loadBalancer` of a DestinationRule.

use crate::values::check_duration;
use mesh_policy_istio::destination_rule::{ConsistentHashLb, LoadBalancerSettings, LocalityLbSetting};
use mesh_policy_istio::path::Path;
use mesh_policy_istio::problem::{ProblemKind, Problems};

/// Envoy's bound on Maglev tables.
const MAX_MAGLEV: u64 = 5_000_011;

pub(super) fn validate(
    settings: &LoadBalancerSettings,
    outlier_detection: bool,
    at: &Path,
    problems: &mut Problems,
) {
    let LoadBalancerSettings {
        simple,
        consistent_hash,
        locality_lb_setting,
        zone_aware_lb_setting,
        warmup_duration_secs,
        warmup,
    } = settings;
    if simple.is_some() && consistent_hash.is_some() {
        problems.error(
            at.field("consistentHash"),
            ProblemKind::Conflict,
            "expected `simple` or `consistentHash`, not both",
        );
    }
    if let Some(hash) = consistent_hash {
        validate_hash(hash, &at.field("consistentHash"), problems);
    }
    if let Some(locality) = locality_lb_setting {
        validate_locality(locality, outlier_detection, &at.field("localityLbSetting"), problems);
        if zone_aware_lb_setting.is_some() {
            problems.error(
                at.field("zoneAwareLbSetting"),
                ProblemKind::Conflict,
                "expected `localityLbSetting` or `zoneAwareLbSetting`, not both",
            );
        }
    }
    check_duration(*warmup_duration_secs, at.field("warmupDurationSecs"), problems);
    if let Some(warmup) = warmup {
        let at = at.field("warmup");
        if warmup.duration.is_none() {
            problems.error(at.field("duration"), ProblemKind::Missing, "missing: a warm-up has a duration");
        }
        check_duration(warmup.duration, at.field("duration"), problems);
        if let Some(percent) = warmup.minimum_percent.filter(|percent| !(0.0..=100.0).contains(percent)) {
            problems.error(
                at.field("minimumPercent"),
                ProblemKind::InvalidValue,
                format!("expected a percentage from 0 to 100, found `{percent}`"),
            );
        }
        if let Some(aggression) = warmup.aggression.filter(|aggression| *aggression <= 0.0) {
            problems.error(
                at.field("aggression"),
                ProblemKind::InvalidValue,
                format!("expected more than 0, found `{aggression}`"),
            );
        }
    }
}

fn validate_hash(hash: &ConsistentHashLb, at: &Path, problems: &mut Problems) {
    let ConsistentHashLb {
        http_header_name,
        http_cookie,
        use_source_ip,
        http_query_parameter_name,
        ring_hash,
        maglev,
        minimum_ring_size,
    } = hash;
    let keys = [
        http_header_name.is_some(),
        http_cookie.is_some(),
        use_source_ip.is_some(),
        http_query_parameter_name.is_some(),
    ];
    if keys.iter().filter(|key| **key).count() > 1 {
        problems.error(
            at.clone(),
            ProblemKind::Conflict,
            "expected one of httpHeaderName, httpCookie, useSourceIp, httpQueryParameterName",
        );
    }
    if let Some(cookie) = http_cookie {
        let at = at.field("httpCookie");
        if cookie.name.as_deref().is_none_or(str::is_empty) {
            problems.error(at.field("name"), ProblemKind::Missing, "missing: a cookie has a name");
        }
        for (index, attribute) in cookie.attributes.iter().enumerate() {
            let at = at.field("attributes").index(index).field("name");
            let name = attribute.name.as_deref().unwrap_or_default();
            if name.is_empty() {
                problems.error(at, ProblemKind::Missing, "missing: an attribute has a name");
            } else if cookie.attributes.iter().take(index).any(|other| other.name.as_deref() == Some(name)) {
                problems.error(at, ProblemKind::Conflict, format!("the attribute `{name}` is given twice"));
            }
        }
    }
    if ring_hash.is_some() && maglev.is_some() {
        problems.error(
            at.field("maglev"),
            ProblemKind::Conflict,
            "expected `ringHash` or `maglev`, not both",
        );
    }
    if minimum_ring_size.is_some_and(|size| size != 0) && (ring_hash.is_some() || maglev.is_some()) {
        problems.error(
            at.field("minimumRingSize"),
            ProblemKind::Conflict,
            "expected the size in `ringHash`: this field is deprecated",
        );
    }
    if let Some(maglev) = maglev {
        let size = maglev.table_size.unwrap_or(0);
        if size >= MAX_MAGLEV || !is_prime(size) {
            problems.error(
                at.field("maglev").field("tableSize"),
                ProblemKind::InvalidValue,
                format!("expected a prime number below {MAX_MAGLEV}, found `{size}`"),
            );
        }
    }
}

fn is_prime(number: u64) -> bool {
    number >= 2 && (2..).take_while(|d| d * d <= number).all(|d| !number.is_multiple_of(d))
}

/// `region/zone/subzone`, the end of which may be missing or starred.
fn check_place(place: &str, at: &Path, problems: &mut Problems) {
    let parts: Vec<&str> = place.split('/').collect();
    let starred = parts.iter().position(|part| part.contains('*'));
    let is_fine = parts.len() <= 3
        && parts.iter().all(|part| !part.is_empty() && (*part == "*" || !part.contains('*')))
        && starred.is_none_or(|star| star + 1 == parts.len());
    if !is_fine {
        problems.error(
            at.clone(),
            ProblemKind::InvalidValue,
            format!("expected a locality such as `region/zone/subzone` or `region/*`, found `{place}`"),
        );
    }
}

/// Two of which one lies within the other leave open which is meant.
fn check_apart<'p>(
    place: &str,
    mut earlier: impl Iterator<Item = &'p str>,
    at: &Path,
    problems: &mut Problems,
) {
    let bare = |place: &str| place.trim_end_matches('*').trim_end_matches('/').to_owned();
    let within = |inner: &str, outer: &str| {
        let (inner, outer) = (bare(inner), bare(outer));
        outer.is_empty()
            || inner == outer
            || inner.strip_prefix(&outer).is_some_and(|rest| rest.starts_with('/'))
    };
    if let Some(other) = earlier.find(|other| within(place, other) || within(other, place)) {
        problems.error(
            at.clone(),
            ProblemKind::Conflict,
            format!("`{place}` and `{other}` overlap: each locality may be named once"),
        );
    }
}

fn validate_locality(
    settings: &LocalityLbSetting,
    outlier_detection: bool,
    at: &Path,
    problems: &mut Problems,
) {
    let LocalityLbSetting { distribute, failover, failover_priority, enabled: _ } = settings;
    if !distribute.is_empty() && !failover.is_empty() {
        problems.error(
            at.field("failover"),
            ProblemKind::Conflict,
            "expected `distribute` or `failover`, not both",
        );
    }
    let origins: Vec<&str> =
        distribute.iter().map(|entry| entry.from.as_deref().unwrap_or_default()).collect();
    for (index, from) in origins.iter().enumerate() {
        let at = at.field("distribute").index(index).field("from");
        check_place(from, &at, problems);
        check_apart(from, origins.iter().take(index).copied(), &at, problems);
    }
    for (index, entry) in distribute.iter().enumerate() {
        let at = at.field("distribute").index(index).field("to");
        let places: Vec<&str> = entry.to.keys().map(String::as_str).collect();
        for (index, place) in places.iter().enumerate() {
            check_place(place, &at.field(place), problems);
            check_apart(place, places.iter().take(index).copied(), &at.field(place), problems);
        }
        for (locality, share) in entry.to.iter().filter(|(_, share)| !(1..=100).contains(*share)) {
            problems.error(
                at.field(locality),
                ProblemKind::InvalidValue,
                format!("expected a share from 1 to 100, found `{share}`"),
            );
        }
        let sum: u64 = entry.to.values().map(|share| u64::from(*share)).sum();
        if sum != 100 {
            problems.error(
                at,
                ProblemKind::InvalidValue,
                format!("expected shares that sum to 100, found {sum}"),
            );
        }
    }
    for (index, entry) in failover.iter().enumerate() {
        let at = at.field("failover").index(index);
        let (from, to) = (entry.from.as_deref().unwrap_or_default(), entry.to.as_deref().unwrap_or_default());
        for (name, region) in [("from", from), ("to", to)] {
            if region.contains(['/', '*']) {
                problems.error(
                    at.field(name),
                    ProblemKind::InvalidValue,
                    format!("expected a region without zone or `*`, found `{region}`"),
                );
            }
        }
        if from == to {
            problems.error(at.field("to"), ProblemKind::Conflict, "a region cannot stand in for itself");
        }
    }
    let by_locality = failover_priority.iter().position(|label| {
        let key = label.split('=').next().unwrap_or_default();
        matches!(
            key,
            "topology.kubernetes.io/region" | "topology.kubernetes.io/zone" | "topology.istio.io/subzone"
        )
    });
    if let Some(index) = by_locality.filter(|_| !failover.is_empty()) {
        problems.error(
            at.field("failoverPriority").index(index),
            ProblemKind::Conflict,
            "a label of the locality cannot be combined with `failover`",
        );
    }
    let fails_over = !failover.is_empty() || !failover_priority.is_empty();
    if fails_over && !outlier_detection {
        problems.warning(at.clone(), ProblemKind::Suspicious, "has no effect without `outlierDetection`");
    }
}
