//! Making a disagreement small: whatever can be left out without it vanishing is left out.

use super::{Disagreement, run};
use crate::Result;
use mesh_policy_testkit::generate::PolicySet;
use serde_json::Value;

/// How many smaller sets are tried in one Envoy.
const AT_ONCE: usize = 24;

/// The smallest set found on which the engines still disagree, with what came of it.
///
/// # Errors
/// Envoy or an echo server fails.
pub fn shrink(found: &Disagreement) -> Result<Disagreement> {
    let mut smallest = found.clone();
    let mut from = 0;
    loop {
        let smaller = smaller(&smallest.set);
        let batch: Vec<(u64, PolicySet)> = smaller
            .iter()
            .skip(from)
            .take(AT_ONCE)
            .enumerate()
            .map(|(number, set)| (number as u64, set.clone()))
            .collect();
        if batch.is_empty() {
            return Ok(smallest);
        }
        match first_still(&smallest, &batch)? {
            // Large steps stand first: from the start again, as long as they help.
            Some(still) => {
                smallest = Disagreement { seed: found.seed, ..still };
                from = 0;
            }
            None => from += AT_ONCE,
        }
    }
}

fn first_still(of: &Disagreement, batch: &[(u64, PolicySet)]) -> Result<Option<Disagreement>> {
    let report = run(of.area, batch)?;
    // Another disagreement is not a smaller form of this one.
    let alike = report.disagreements.into_iter().filter(|found| found.is_like(of));
    Ok(alike.min_by_key(|found| found.seed))
}

/// Every set that is one step smaller, large steps first.
fn smaller(set: &PolicySet) -> Vec<PolicySet> {
    let mut sets = Vec::new();
    for index in 0..set.resources.len() {
        let mut less = set.clone();
        less.resources.remove(index);
        sets.push(less);
    }
    for (index, resource) in set.resources.iter().enumerate() {
        let Some(spec) = resource.get("spec") else { continue };
        for spec in without_one(spec) {
            let mut less = set.clone();
            if let Some(place) = less.resources.get_mut(index).and_then(|resource| resource.get_mut("spec")) {
                *place = spec;
                sets.push(less);
            }
        }
    }
    // One request or none: a set with more was not found to disagree.
    let Some(probe) = set.probes.first() else { return sets };
    let mut less = |change: &dyn Fn(&mut mesh_policy_testkit::generate::Probe)| {
        let mut probe = probe.clone();
        change(&mut probe);
        if Some(&probe) != set.probes.first() {
            sets.push(PolicySet { probes: vec![probe], ..set.clone() });
        }
    };
    for index in 0..probe.headers.len() {
        less(&|probe| drop(probe.headers.remove(index)));
    }
    less(&|probe| probe.token = None);
    for claim in smaller_payloads(probe.token.as_deref()) {
        less(&|probe| probe.token = Some(claim.clone()));
    }
    less(&|probe| probe.told = None);
    less(&|probe| probe.peer = Default::default());
    less(&|probe| probe.http10 = false);
    less(&|probe| probe.method = b"GET".to_vec());
    less(&|probe| probe.target = b"/".to_vec());
    less(&|probe| probe.source_ip = "127.0.0.1".to_owned());
    less(&|probe| {
        let path = probe.target.split(|byte| *byte == b'?').next().unwrap_or_default().to_vec();
        probe.target = path;
    });
    less(&|probe| probe.authority = Some(b"a.example".to_vec()));
    if let Some(workload) = &set.workload {
        for workload in without_one(workload) {
            // Without its namespace and root a workload is another one.
            if workload.get("namespace").is_some() && workload.get("rootNamespace").is_some() {
                sets.push(PolicySet { workload: Some(workload), ..set.clone() });
            }
        }
    }
    sets
}

/// Payloads of a token with one claim less.
fn smaller_payloads(payload: Option<&str>) -> Vec<String> {
    let claims = payload.and_then(|payload| serde_json::from_str::<Value>(payload).ok());
    claims.iter().flat_map(without_one).map(|claims| claims.to_string()).collect()
}

/// Every value with one entry or member less, outer ones first.
fn without_one(value: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    match value {
        Value::Array(entries) => {
            for index in 0..entries.len() {
                // An empty list is not a smaller one: it is invalid, or says something else.
                if entries.len() > 1 {
                    let mut less = entries.clone();
                    less.remove(index);
                    all.push(Value::Array(less));
                }
            }
            for (index, entry) in entries.iter().enumerate() {
                all.extend(without_one(entry).into_iter().map(|entry| {
                    let mut less = entries.clone();
                    if let Some(place) = less.get_mut(index) {
                        *place = entry;
                    }
                    Value::Array(less)
                }));
            }
        }
        Value::Object(members) => {
            for key in members.keys() {
                let mut less = members.clone();
                less.remove(key);
                all.push(Value::Object(less));
            }
            for (key, member) in members {
                all.extend(without_one(member).into_iter().map(|member| {
                    let mut less = members.clone();
                    less.insert(key.clone(), member);
                    Value::Object(less)
                }));
            }
        }
        _ => {}
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_step_leaves_out_one_thing() {
        let found = without_one(&json!({ "a": [1, { "b": 2 }], "c": 3 }));
        let expected = [
            json!({ "c": 3 }),
            json!({ "a": [1, { "b": 2 }] }),
            json!({ "a": [{ "b": 2 }], "c": 3 }),
            json!({ "a": [1], "c": 3 }),
            json!({ "a": [1, {}], "c": 3 }),
        ];
        assert_eq!(found, expected);
    }
}
