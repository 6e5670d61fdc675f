//! Makes a disagreement small.

use super::{Crowd, Disagreement};
use serde_json::Value;

/// The same disagreement, or another, with as little as possible in it.
#[must_use]
pub fn shrink(mut found: Box<Disagreement>) -> Box<Disagreement> {
    while let Some(smaller) = smaller(&found.crowd).into_iter().find_map(still) {
        found = smaller;
    }
    found
}

fn still(crowd: Crowd) -> Option<Box<Disagreement>> {
    crowd.compare().ok().and_then(Result::err)
}

/// All crowds that lack one thing.
fn smaller(crowd: &Crowd) -> Vec<Crowd> {
    let mut crowds = Vec::new();
    let resources = Value::Array(crowd.resources.clone());
    for resources in without_one(&resources) {
        if let Value::Array(resources) = resources {
            crowds.push(Crowd { resources, ..crowd.clone() });
        }
    }
    for (at, asked) in crowd.asked.iter().enumerate() {
        let mut with = |asked| {
            let mut crowd = crowd.clone();
            if let Some(place) = crowd.asked.get_mut(at) {
                *place = asked;
            }
            crowds.push(crowd);
        };
        for header in 0..asked.probe.headers.len() {
            let mut asked = asked.clone();
            asked.probe.headers.remove(header);
            with(asked);
        }
        for attribute in asked.attributes.keys() {
            let mut asked = asked.clone();
            asked.attributes.remove(attribute);
            with(asked);
        }
    }
    crowds
}

/// All values that lack one member or entry; the largest first.
fn without_one(value: &Value) -> Vec<Value> {
    let mut values = Vec::new();
    match value {
        Value::Array(entries) => {
            for at in 0..entries.len() {
                let mut fewer = entries.clone();
                fewer.remove(at);
                values.push(Value::Array(fewer));
            }
            for (at, entry) in entries.iter().enumerate() {
                values.extend(without_one(entry).into_iter().map(|smaller| {
                    let mut entries = entries.clone();
                    if let Some(place) = entries.get_mut(at) {
                        *place = smaller;
                    }
                    Value::Array(entries)
                }));
            }
        }
        Value::Object(members) => {
            for key in members.keys() {
                let mut fewer = members.clone();
                fewer.remove(key);
                values.push(Value::Object(fewer));
            }
            for (key, member) in members {
                values.extend(without_one(member).into_iter().map(|smaller| {
                    let mut members = members.clone();
                    members.insert(key.clone(), smaller);
                    Value::Object(members)
                }));
            }
        }
        _ => {}
    }
    values
}
