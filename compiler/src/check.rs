//! Everything that is wrong with the resources, before any proxy is chosen.

use crate::bypass;
use crate::ext_authz;
use crate::finding::Finding;
use crate::mesh_config;
use crate::options::PathNormalization;
use crate::references;
use crate::source::Sources;
use crate::validate::validate;
use mesh_policy_core::authz::{Authorizer, ExternalAuthorization};
use mesh_policy_core::proxy::ProxyContext;
use mesh_policy_core::route::RouteTable;
use mesh_policy_istio::problem::{Problem, Problems, Severity};
use mesh_policy_istio::resource::Resource;
use std::collections::BTreeMap;

/// All findings in the order of the input, errors and warnings, for proxies with Istio's default path normalization.
#[must_use]
pub fn check(sources: &Sources) -> Vec<Finding> {
    check_under(sources, PathNormalization::Base)
}

/// [`check()`], for proxies that normalize paths in this way: it decides which requests can pass by a rule.
#[must_use]
pub fn check_under(sources: &Sources, normalization: PathNormalization) -> Vec<Finding> {
    let mut problems = Problems::new();
    let sound: Vec<Resource> = sources.sound().cloned().collect();
    for resource in &sound {
        validate(resource, &mut problems);
    }
    // Any proxy will do: rules are judged whether or not they are its own. Labels that are known, though empty, make
    // selectors legal, and compiled proxies have an ext_authz filter where CUSTOM policies want one.
    let proxy = ProxyContext {
        labels: Some(BTreeMap::new()),
        ext_authz: ExternalAuthorization::After,
        ..ProxyContext::default()
    };
    let _ = RouteTable::compile(&sound, &proxy, &mut problems);
    let _ = Authorizer::compile(&sound, &proxy, &mut problems);
    bypass::check(&sound, normalization, &mut problems);
    let mesh = sources.mesh_config();
    ext_authz::check(&sound, mesh.map(|placed| &placed.config), &mut problems);
    if let Some(mesh) = mesh {
        mesh_config::check(mesh, &mut problems);
    }
    let mut references = Problems::new();
    references::check(sources, &mut references);
    let mut findings = sources.findings().to_vec();
    findings.extend(sources.findings_of(&problems));
    // A name that is no name at all leads nowhere either: once is enough.
    let judged = |problem: &&Problem| {
        problems.iter().any(|other| other.path == problem.path && other.severity == Severity::Error)
    };
    findings.extend(references.iter().filter(|p| !judged(p)).map(|problem| sources.finding(problem)));
    sources.in_order(findings)
}

#[cfg(test)]
mod tests;
