//! What a rule's retries do where a DestinationRule chooses instances by a key.

use super::reachable::Reach;
use crate::envoy::cluster;
use crate::plugin::EnforcedListener;
use mesh_policy_istio::problem::Problems;
use mesh_policy_istio::resource::Spec;
use serde_json::{Value, json};

/// A rule that does not say whether hosts already tried are avoided avoids them, unless its only destination is chosen by a
/// key: then the instance that the key points to is tried again. The filters know nothing of DestinationRules, so it is
/// written into the rules that they get.
pub(super) fn settle(enforced: &mut EnforcedListener, reach: &Reach<'_>) {
    if reach.clusters.hashed.is_empty() {
        return;
    }
    let port = enforced.port;
    for (index, resource) in enforced.resources.iter_mut().enumerate() {
        let owner = resource.clone();
        let Spec::VirtualService(spec) = &mut resource.spec else { continue };
        for (i, rule) in spec.http.iter_mut().enumerate() {
            let ([only], Some(retries)) = (rule.route.as_slice(), &mut rule.retries) else { continue };
            let (Some(destination), None) = (&only.destination, retries.retry_ignore_previous_hosts) else {
                continue;
            };
            // A destination that cannot be reached is reported elsewhere.
            let found = reach.check(&owner, destination, port, &owner.spec_path(), &mut Problems::new());
            let Some((host, port)) = found else { continue };
            let name = cluster::name(port, destination.subset.as_deref().unwrap_or_default(), &host);
            if !reach.clusters.hashed.contains(&name) {
                continue;
            }
            retries.retry_ignore_previous_hosts = Some(false);
            let written = format!("/items/{index}/spec/http/{i}/retries");
            if let Some(Value::Object(retries)) = enforced.plugin_config.pointer_mut(&written) {
                retries.insert("retryIgnorePreviousHosts".to_owned(), json!(false));
            }
        }
    }
}
