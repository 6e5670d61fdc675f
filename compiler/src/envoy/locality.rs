//! Which instances are preferred for where they are: Istio's shares and failover by locality, as Envoy's priorities and weights.

use super::put;
use mesh_policy_istio::destination_rule::{LocalityFailover, LocalityLbSetting};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A place: region, zone and subzone, each empty when it is not said.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Locality {
    region: String,
    zone: String,
    subzone: String,
}

impl Locality {
    /// `region/zone/subzone`, the last parts of which may be missing.
    pub(crate) fn parse(text: &str) -> Self {
        let mut parts = text.splitn(3, '/').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        Self { region: next(), zone: next(), subzone: next() }
    }

    fn is_unknown(&self) -> bool {
        self.region.is_empty()
    }

    /// Whether it is one of those that a rule names: what the rule leaves out, or stars, is any.
    fn is_within(&self, rule: &str) -> bool {
        let Self { region, zone, subzone } = Self::parse(rule);
        let any = |wanted: &str| wanted.is_empty() || wanted == "*";
        (region == "*" || region == self.region)
            && (any(&zone) || zone == self.zone)
            && (any(&subzone) || subzone == self.subzone)
    }

    /// How far another place is: 0 the same subzone, 1 the same zone, 2 the same region, 3 elsewhere.
    fn distance(&self, other: &Self) -> u32 {
        match (self.region == other.region, self.zone == other.zone, self.subzone == other.subzone) {
            (false, ..) => 3,
            (true, false, _) => 2,
            (true, true, false) => 1,
            (true, true, true) => 0,
        }
    }

    /// The value of a label that says a part of a place.
    fn label(&self, name: &str) -> Option<&str> {
        match name {
            "topology.kubernetes.io/region" => Some(&self.region),
            "topology.kubernetes.io/zone" => Some(&self.zone),
            "topology.istio.io/subzone" => Some(&self.subzone),
            _ => None,
        }
    }
}

/// An instance that is to be placed.
#[derive(Debug)]
pub(crate) struct Instance<'i> {
    pub locality: Locality,
    pub labels: &'i BTreeMap<String, String>,
    /// 1 when nothing is said.
    pub weight: u32,
    /// Envoy's `LbEndpoint`.
    pub endpoint: Value,
}

/// Who calls, and what is said about places.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Preference<'p> {
    pub locality: &'p Locality,
    pub labels: &'p BTreeMap<String, String>,
    /// Of the DestinationRule; without one the nearest come first, as far as outliers are detected.
    pub setting: Option<&'p LocalityLbSetting>,
    /// Failing instances are put aside, or nothing would ever fail over.
    pub detects_outliers: bool,
}

impl Preference<'_> {
    /// Whether localities have shares, which the load balancer has to be told.
    pub(crate) fn has_shares(&self) -> bool {
        self.shares().is_some()
    }

    fn active(&self) -> Option<&LocalityLbSetting> {
        self.setting.filter(|setting| setting.enabled != Some(false))
    }

    /// The shares for callers from here: the first entry that is about them.
    fn shares(&self) -> Option<&BTreeMap<String, u32>> {
        if self.locality.is_unknown() {
            return None;
        }
        let mut entries = self.active()?.distribute.iter();
        let own = entries.find(|entry| self.locality.is_within(entry.from.as_deref().unwrap_or_default()))?;
        Some(&own.to)
    }

    /// The groups of instances, those to be tried first in front.
    pub(crate) fn groups(&self, instances: Vec<Instance<'_>>) -> Vec<Value> {
        let mut groups: BTreeMap<(u32, Locality), (u32, Vec<Value>)> = BTreeMap::new();
        for instance in instances {
            let group = groups.entry((self.priority(&instance), instance.locality)).or_default();
            group.0 = group.0.saturating_add(instance.weight);
            group.1.push(instance.endpoint);
        }
        let weights = self.shares().map(|shares| weights(shares, &groups));
        let mut priorities: Vec<u32> = groups.keys().map(|(priority, _)| *priority).collect();
        priorities.dedup();
        let mut listed = Vec::new();
        for ((priority, locality), (_, endpoints)) in groups {
            let mut group = Map::new();
            // Envoy takes no gaps between priorities.
            let priority = priorities.iter().position(|other| *other == priority).filter(|p| *p > 0);
            put(&mut group, "priority", json!(priority));
            put(&mut group, "locality", place(&locality));
            if let Some(weights) = &weights {
                // Where no share goes, nothing goes.
                let Some(weight) = weights.get(&locality) else { continue };
                put(&mut group, "load_balancing_weight", json!(weight));
            }
            put(&mut group, "lb_endpoints", json!(endpoints));
            listed.push(Value::Object(group));
        }
        listed
    }

    fn priority(&self, instance: &Instance<'_>) -> u32 {
        let setting = self.active();
        let is_off = self.setting.is_some() && setting.is_none();
        let has_shares = setting.is_some_and(|setting| !setting.distribute.is_empty());
        if is_off || has_shares || !self.detects_outliers {
            return 0;
        }
        let failover = setting.map_or(&[][..], |setting| setting.failover.as_slice());
        let labels = setting.map_or(&[][..], |setting| setting.failover_priority.as_slice());
        let by_place = if self.locality.is_unknown() { 0 } else { self.by_place(instance, failover) };
        match (labels.is_empty(), failover.is_empty()) {
            (true, _) => by_place,
            (false, true) => self.by_labels(instance, labels),
            (false, false) => self.by_labels(instance, labels).saturating_mul(5).saturating_add(by_place),
        }
    }

    /// Another region than the one that stands in for the caller's comes last.
    fn by_place(&self, instance: &Instance<'_>, failover: &[LocalityFailover]) -> u32 {
        let distance = self.locality.distance(&instance.locality);
        let own = failover.iter().find(|entry| entry.from.as_deref() == Some(&self.locality.region));
        match own {
            Some(entry) if distance == 3 && entry.to.as_deref() != Some(&instance.locality.region) => 4,
            _ => distance,
        }
    }

    /// The more of the labels, in their order, the instance shares with the caller, the sooner it is tried.
    fn by_labels(&self, instance: &Instance<'_>, labels: &[String]) -> u32 {
        let shared = labels.iter().take_while(|label| {
            let (name, value) = label.split_once('=').map_or((label.as_str(), None), |(n, v)| (n, Some(v)));
            let wanted = value.unwrap_or_else(|| found(name, self.locality, self.labels));
            wanted == found(name, &instance.locality, instance.labels)
        });
        u32::try_from(labels.len().saturating_sub(shared.count())).unwrap_or(u32::MAX)
    }
}

fn found<'l>(name: &str, locality: &'l Locality, labels: &'l BTreeMap<String, String>) -> &'l str {
    let label = labels.get(name).map(String::as_str);
    label.or_else(|| locality.label(name)).unwrap_or_default()
}

/// The weight of each locality that has a share. A share that several have is divided by the weights of their instances.
fn weights(
    shares: &BTreeMap<String, u32>,
    groups: &BTreeMap<(u32, Locality), (u32, Vec<Value>)>,
) -> BTreeMap<Locality, u32> {
    let mut weights = BTreeMap::new();
    for (rule, share) in shares {
        let free = groups
            .iter()
            .filter(|((_, locality), _)| locality.is_within(rule) && !weights.contains_key(locality));
        let theirs: Vec<(Locality, u64)> =
            free.map(|((_, locality), (weight, _))| (locality.clone(), u64::from(*weight))).collect();
        let sum: u64 = theirs.iter().map(|(_, weight)| weight).sum();
        for (locality, weight) in theirs {
            let part = (weight * u64::from(*share)).div_ceil(sum.max(1));
            weights.insert(locality, u32::try_from(part).unwrap_or(u32::MAX).max(1));
        }
    }
    weights
}

fn place(locality: &Locality) -> Value {
    let Locality { region, zone, subzone } = locality;
    let mut place = Map::new();
    for (name, part) in [("region", region), ("zone", zone), ("sub_zone", subzone)] {
        put(&mut place, name, if part.is_empty() { Value::Null } else { json!(part) });
    }
    if place.is_empty() { Value::Null } else { Value::Object(place) }
}

#[cfg(test)]
mod tests;
