//! `mirror` and `mirrors`: copies whose answers nobody reads.

use super::destination::{Setting, Target};
use super::place::Place;
use super::quantity;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::virtual_service::{HttpMirrorPolicy, HttpRoute};

/// A destination of copies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mirror {
    pub(super) cluster: String,
    /// Parts of a million.
    pub(super) share: u32,
}

/// The mirrors of the rule written at `at`; one that gets no request is left out.
pub(super) fn compile(
    rule: &HttpRoute,
    namespace: &str,
    setting: &Setting<'_>,
    at: &Place<'_>,
    problems: &mut Problems,
) -> Vec<Mirror> {
    if rule.mirror.is_some() && !rule.mirrors.is_empty() {
        let message = "expected one of `mirror` and `mirrors`, found both";
        problems.error(at.path(), ProblemKind::Conflict, message);
    }
    let mut mirrors = Vec::new();
    let share = single_share(rule, at, problems);
    if let Some(destination) = &rule.mirror {
        let target = Target::compile(Some(destination), namespace, setting, &at.field("mirror"), problems);
        mirrors.extend(target.zip(share).map(|(target, share)| Mirror { cluster: target.cluster(), share }));
    }
    let below = at.field("mirrors");
    for (index, HttpMirrorPolicy { destination, percentage }) in rule.mirrors.iter().enumerate() {
        let at = below.index(index);
        let target =
            Target::compile(destination.as_ref(), namespace, setting, &at.field("destination"), problems);
        let share = match percentage {
            Some(percentage) => quantity::mirror_share(percentage, &at.field("percentage"), problems),
            None => Some(quantity::ALL),
        };
        mirrors.extend(target.zip(share).map(|(target, share)| Mirror { cluster: target.cluster(), share }));
    }
    mirrors.retain(|mirror| mirror.share > 0);
    mirrors
}

/// The share of the single `mirror`.
fn single_share(rule: &HttpRoute, at: &Place<'_>, problems: &mut Problems) -> Option<u32> {
    if rule.mirror.is_none() {
        for (field, written) in [
            ("mirrorPercentage", rule.mirror_percentage.is_some()),
            ("mirrorPercent", rule.mirror_percent.is_some()),
        ] {
            if written {
                let message = format!("`{field}` has no effect without `mirror`");
                problems.warning(at.field(field).path(), ProblemKind::Suspicious, message);
            }
        }
    } else if rule.mirror_percent.is_some() {
        problems.warning(
            at.field("mirrorPercent").path(),
            ProblemKind::Suspicious,
            "`mirrorPercent` is deprecated in favour of `mirrorPercentage`",
        );
    }
    let percent = rule
        .mirror_percent
        .map(|percent| quantity::whole_percent(percent.into(), &at.field("mirrorPercent"), problems));
    match (&rule.mirror_percentage, percent) {
        (Some(percentage), _) => quantity::mirror_share(percentage, &at.field("mirrorPercentage"), problems),
        (None, Some(share)) => share,
        (None, None) => Some(quantity::ALL),
    }
}
