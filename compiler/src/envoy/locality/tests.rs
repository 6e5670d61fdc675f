use super::*;
use mesh_policy_istio::destination_rule::LocalityDistribute;

/// The names of the instances in each group, with its priority and weight.
fn groups(own: &str, setting: Option<&LocalityLbSetting>, instances: &[(&str, &str, u32)]) -> Vec<String> {
    let labels: Vec<BTreeMap<String, String>> =
        instances.iter().map(|(name, ..)| [("version".to_owned(), (*name).to_owned())].into()).collect();
    let listed = instances.iter().zip(&labels).map(|((name, locality, weight), labels)| Instance {
        locality: Locality::parse(locality),
        labels,
        weight: *weight,
        endpoint: json!(name),
    });
    let own_labels = [("version".to_owned(), "b".to_owned())].into();
    let preference =
        Preference { locality: &Locality::parse(own), labels: &own_labels, setting, detects_outliers: true };
    let number = |group: &Value, name: &str| group.get(name).map_or(String::new(), Value::to_string);
    let show = |group: &Value| {
        let names: Vec<&str> =
            group["lb_endpoints"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        let weight = number(group, "load_balancing_weight");
        let weight = if weight.is_empty() { weight } else { format!(" weight {weight}") };
        let priority = number(group, "priority");
        format!("{}: {}{weight}", if priority.is_empty() { "0" } else { &priority }, names.join(" "))
    };
    preference.groups(listed.collect()).iter().map(show).collect()
}

const WORLD: [(&str, &str, u32); 5] =
    [("a", "eu/1/x", 1), ("b", "eu/1/y", 1), ("c", "eu/2/x", 1), ("d", "us/1/x", 1), ("e", "asia/1/x", 3)];

#[test]
fn the_nearest_come_first_without_gaps() {
    assert_eq!(groups("eu/1/x", None, &WORLD), ["0: a", "1: b", "2: c", "3: e", "3: d"]);
    assert_eq!(groups("us/9", None, &WORLD), ["0: d", "1: e", "1: a", "1: b", "1: c"]);
    assert_eq!(groups("", None, &WORLD), ["0: e", "0: a", "0: b", "0: c", "0: d"]);
    let off = LocalityLbSetting { enabled: Some(false), ..LocalityLbSetting::default() };
    assert_eq!(groups("eu/1/x", Some(&off), &WORLD)[0], "0: e");
    assert_eq!(groups("eu/1/x", None, &[("a", "", 1), ("b", "", 1)]), ["0: a b"]);
}

#[test]
fn another_region_stands_in_before_the_rest() {
    let failover = vec![LocalityFailover { from: Some("eu".to_owned()), to: Some("us".to_owned()) }];
    let setting = LocalityLbSetting { failover, ..LocalityLbSetting::default() };
    assert_eq!(groups("eu/1/x", Some(&setting), &WORLD), ["0: a", "1: b", "2: c", "3: d", "4: e"]);
    assert_eq!(groups("asia/1/x", Some(&setting), &WORLD)[0], "0: e");
}

#[test]
fn labels_decide_in_their_order() {
    let priorities = |labels: &[&str]| LocalityLbSetting {
        failover_priority: labels.iter().map(|label| (*label).to_owned()).collect(),
        ..LocalityLbSetting::default()
    };
    let by_version = priorities(&["version"]);
    assert_eq!(groups("", Some(&by_version), &WORLD)[0], "0: b");
    let named = priorities(&["topology.kubernetes.io/region", "version=d"]);
    assert_eq!(groups("us/1/x", Some(&named), &WORLD), ["0: d", "1: e", "1: a", "1: b", "1: c"]);
    assert_eq!(groups("eu/1/x", Some(&named), &WORLD), ["0: a", "0: b", "0: c", "1: e", "1: d"]);
}

#[test]
fn shares_go_where_they_are_said_to_and_nowhere_else() {
    let to = [("eu/*".to_owned(), 80), ("us/1/x".to_owned(), 20)].into();
    let entry = LocalityDistribute { from: Some("eu/1/*".to_owned()), to };
    let setting = LocalityLbSetting { distribute: vec![entry], ..LocalityLbSetting::default() };
    assert_eq!(
        groups("eu/1/x", Some(&setting), &WORLD),
        ["0: a weight 27", "0: b weight 27", "0: c weight 27", "0: d weight 20"]
    );
    // Nothing is said for callers from elsewhere, and nothing fails over beside shares.
    assert_eq!(groups("us/1/x", Some(&setting), &WORLD).len(), 5);
    assert!(groups("us/1/x", Some(&setting), &WORLD).iter().all(|group| group.starts_with("0: ")));
}

#[test]
fn nothing_fails_over_where_outliers_are_not_detected() {
    let preference = Preference {
        locality: &Locality::parse("eu"),
        labels: &BTreeMap::new(),
        setting: None,
        detects_outliers: false,
    };
    let instance = |locality: &str, labels| Instance {
        locality: Locality::parse(locality),
        labels,
        weight: 1,
        endpoint: json!(locality),
    };
    let none = BTreeMap::new();
    let groups = preference.groups(vec![instance("us", &none), instance("eu", &none)]);
    assert!(groups.iter().all(|group| group.get("priority").is_none()), "{groups:?}");
}
