//! `exportTo`: which namespaces see a resource.

use crate::values::is_dns_label;
use mesh_policy_istio::path::Path;
use mesh_policy_istio::problem::{ProblemKind, Problems};

/// Whether a resource of `own` with this `exportTo` is seen from `viewer`. Nothing said means everybody.
pub(crate) fn is_visible(export_to: &[String], own: &str, viewer: &str) -> bool {
    export_to.is_empty()
        || export_to.iter().any(|entry| match entry.as_str() {
            "*" => true,
            "." => own == viewer,
            "~" => false,
            namespace => namespace == viewer,
        })
}

/// Whether only its own namespace sees it.
pub(crate) fn is_private(export_to: &[String], own: &str) -> bool {
    !export_to.is_empty() && export_to.iter().all(|entry| entry == "." || entry == own)
}

/// Reports an `exportTo` that Istio refuses. Only a ServiceEntry may be hidden from everybody (`~`).
pub(crate) fn check(export_to: &[String], own: &str, may_hide: bool, path: &Path, problems: &mut Problems) {
    for (index, entry) in export_to.iter().enumerate() {
        let at = path.index(index);
        let known = match entry.as_str() {
            "*" | "." => true,
            "~" => may_hide,
            namespace => is_dns_label(namespace),
        };
        if !known {
            problems.error(
                at,
                ProblemKind::InvalidValue,
                format!("expected `*`, `.` or a namespace, found `{entry}`"),
            );
            continue;
        }
        if matches!(entry.as_str(), "*" | "~") && export_to.len() > 1 {
            problems.error(at, ProblemKind::Conflict, format!("`{entry}` must stand alone"));
            continue;
        }
        let meaning = |entry: &str| if entry == "." { own.to_owned() } else { entry.to_owned() };
        if export_to.iter().take(index).any(|earlier| meaning(earlier) == meaning(entry)) {
            problems.error(at, ProblemKind::Conflict, format!("`{entry}` names a namespace twice"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[&str]) -> Vec<String> {
        entries.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn absence_exports_to_everybody() {
        assert!(is_visible(&[], "a", "b"));
        assert!(is_visible(&list(&["*"]), "a", "b"));
        assert!(!is_visible(&list(&["."]), "a", "b"));
        assert!(is_visible(&list(&[".", "b"]), "a", "b"));
        assert!(!is_visible(&list(&["~"]), "a", "a"));
    }

    #[test]
    fn contradictions_are_refused() {
        let found = |entries: &[&str], may_hide| {
            let mut problems = Problems::new();
            check(&list(entries), "own", may_hide, &Path::root().field("exportTo"), &mut problems);
            problems.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(found(&[".", "other"], false), [""; 0]);
        assert_eq!(found(&["~"], true), [""; 0]);
        assert_eq!(found(&["~"], false), ["exportTo[0]: expected `*`, `.` or a namespace, found `~`"]);
        assert_eq!(found(&[".", "own"], false), ["exportTo[1]: `own` names a namespace twice"]);
        assert_eq!(found(&["a", "*"], false), ["exportTo[1]: `*` must stand alone"]);
        assert_eq!(found(&["a_b"], false), ["exportTo[0]: expected `*`, `.` or a namespace, found `a_b`"]);
    }
}
