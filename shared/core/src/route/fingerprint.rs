//! A number by which two filters know that they run the same table.

use super::rule::{Rule, RuleAction};
use super::virtual_host::Route;
use std::hash::{Hash, Hasher};

/// FNV-1a over everything that a published choice refers to. The same in every module, unlike the standard hasher, which
/// begins anywhere.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fingerprint(u64);

impl Fingerprint {
    /// Of a table with these parts.
    pub(super) fn of(routes: &[Route], rules: &[Rule]) -> u64 {
        let mut print = Self(0xcbf2_9ce4_8422_2325);
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

impl Hasher for Fingerprint {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
