//! What an earlier run measured and this one did not: time needs a quiet machine and instructions none, so they come from
//! different runs at times.

use serde_json::{Map, Value};

use super::arguments::Figures;

/// The key of what was counted, in the summary and in the entry of a scenario.
const COUNTED: [&str; 2] = ["counted", "instructions"];

/// What says which entry of a summary is meant.
const NAMES: [&str; 4] = ["name", "mix", "rules", "hit"];

/// What is true of an entry whatever is measured.
const COMMON: [&str; 6] = ["name", "mix", "rules", "hit", "status", "mutual_tls"];

/// Puts into the summary of a run that measured these `figures` what an earlier one has of the others.
pub fn keep(summary: &mut Value, earlier: &Value, figures: Figures) {
    let is_kept = |key: &str| match figures {
        Figures::Both => false,
        Figures::Time => COUNTED.contains(&key),
        Figures::Count => !COUNTED.contains(&key),
    };
    let (Some(new), Some(old)) = (summary.as_object_mut(), earlier.as_object()) else { return };
    fill(new, old, |key| is_kept(key));
    let entries = old.get("scenarios").and_then(Value::as_array).into_iter().flatten();
    if let Some(scenarios) = new.get_mut("scenarios").and_then(Value::as_array_mut) {
        for entry in entries.filter_map(Value::as_object) {
            let same = |other: &&mut Value| NAMES.iter().all(|key| other.get(key) == entry.get(*key));
            if let Some(Value::Object(found)) = scenarios.iter_mut().find(same) {
                fill(found, entry, |key| is_kept(key));
            } else if entry.keys().any(|key| is_kept(key) && !COMMON.contains(&key.as_str())) {
                let mut kept = Map::new();
                fill(&mut kept, entry, |key| is_kept(key) || COMMON.contains(&key));
                scenarios.push(Value::Object(kept));
            }
        }
    }
    let targets = old.get("targets").and_then(Value::as_array);
    for target in new.get_mut("targets").and_then(Value::as_array_mut).into_iter().flatten() {
        let same = |other: &&Value| other.get("what") == target.get("what");
        let earlier = targets.into_iter().flatten().find(same).and_then(Value::as_object);
        if let (Some(target), Some(earlier)) = (target.as_object_mut(), earlier) {
            fill(target, earlier, |key| {
                figures != Figures::Both && key.starts_with("counted") == (figures == Figures::Time)
            });
        }
    }
}

/// Puts those of the fields that are missing, or nothing yet.
fn fill(new: &mut Map<String, Value>, old: &Map<String, Value>, is_kept: impl Fn(&str) -> bool) {
    for (key, value) in old.iter().filter(|(key, _)| is_kept(key)) {
        let place = new.entry(key.clone()).or_insert(Value::Null);
        if place.is_null() {
            *place = value.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry(rules: usize, more: &Value) -> Value {
        let mut entry =
            json!({ "name": "authz", "mix": "uniform", "rules": rules, "hit": "last", "status": 200 });
        crate::config::merge(&mut entry, more);
        entry
    }

    #[test]
    fn a_run_that_counts_keeps_the_times_and_one_that_times_the_counts() {
        let timed = json!({
            "commit": "a",
            "scenarios": [entry(10, &json!({ "cpu_us": 1 })), entry(100, &json!({ "cpu_us": 2 }))],
            "targets": [{ "what": "speed", "measured": "2 x", "verdict": "ok", "counted": null }],
        });
        let counted = json!({
            "counted": { "commit": "b" },
            "scenarios": [entry(10, &json!({ "instructions": 3 }))],
            "targets": [{ "what": "speed", "measured": null, "verdict": null, "counted": "3 x" }],
        });
        let both = json!({
            "commit": "a",
            "counted": { "commit": "b" },
            "scenarios": [
                entry(10, &json!({ "cpu_us": 1, "instructions": 3 })),
                entry(100, &json!({ "cpu_us": 2 })),
            ],
            "targets": [{ "what": "speed", "measured": "2 x", "verdict": "ok", "counted": "3 x" }],
        });
        let mut summary = counted.clone();
        keep(&mut summary, &timed, Figures::Count);
        assert_eq!(summary, both);
        let mut summary = timed.clone();
        keep(&mut summary, &counted, Figures::Time);
        assert_eq!(summary, both);
        // A run that measures a figure measures all of it: nothing old is mixed in.
        let mut summary = counted.clone();
        keep(&mut summary, &both, Figures::Both);
        assert_eq!(summary, counted);
        let mut summary = timed.clone();
        keep(&mut summary, &both, Figures::Time);
        assert_eq!(summary, both);
    }
}
