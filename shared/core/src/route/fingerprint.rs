//! A number by which two filters know that they run the same table.

use super::rule::{Rule, RuleAction};
use super::virtual_host::Route;
use mesh_policy_bytes::ConfiguredHasher;
use std::hash::{Hash, Hasher};

/// A hash over everything that a published choice refers to.
pub(super) struct Fingerprint;

impl Fingerprint {
    /// Of a table with these parts.
    pub(super) fn of(routes: &[Route], rules: &[Rule]) -> u64 {
        let mut print = ConfiguredHasher::default();
        for route in routes {
            (&route.id, &route.name, route.rule, &route.matched.conditions).hash(&mut print);
        }
        for rule in rules {
            let RuleAction::Forward(forward) = &rule.action else {
                print.write_usize(0);
                continue;
            };
            print.write_usize(forward.destinations.list().len());
            for destination in forward.destinations.list() {
                (destination.cluster(), destination.weight()).hash(&mut print);
            }
        }
        print.finish()
    }
}
