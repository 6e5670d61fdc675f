//! Everything that is wrong with the resources, before any proxy is chosen.

use crate::finding::Finding;
use crate::source::Sources;

/// All findings, errors and warnings.
#[must_use]
pub fn check(sources: &Sources) -> Vec<Finding> {
    sources.findings().to_vec()
}
