//! A number by which two filters know that they run the same table.

use super::rule::{Rule, RuleAction};
use super::virtual_host::Route;
use std::fmt::{self, Write};

/// FNV-1a over everything that a published choice refers to. The same in every process, unlike the standard hasher.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fingerprint(u64);

impl Fingerprint {
    /// Of a table with these parts.
    pub(super) fn of(routes: &[Route], rules: &[Rule]) -> u64 {
        let mut print = Self(0xcbf2_9ce4_8422_2325);
        for route in routes {
            print.add(format_args!("{} {} {}\n", route.id, route.name, route.rule));
            for condition in &route.matched.conditions {
                print.add(format_args!(
                    "{} {condition}\n",
                    condition.field(&mesh_policy_istio::path::Path::root())
                ));
            }
        }
        for rule in rules {
            if let RuleAction::Forward(forward) = &rule.action {
                for destination in forward.destinations.list() {
                    print.add(format_args!("{} {}\n", destination.cluster(), destination.weight()));
                }
            }
            print.add(format_args!(".\n"));
        }
        print.0
    }

    fn add(&mut self, text: fmt::Arguments<'_>) {
        // Writing into a number cannot fail, and a `Display` that fails leaves a print that fits no other table.
        if self.write_fmt(text).is_err() {
            self.0 = self.0.wrapping_add(1);
        }
    }
}

impl Write for Fingerprint {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Ok(())
    }
}
