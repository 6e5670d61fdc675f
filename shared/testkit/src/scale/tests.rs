use super::*;
use crate::generate::Matcher;

/// The numbers of the rules that took a request.
fn met(matcher: &Matcher, request: &Probe) -> (Option<String>, Option<String>) {
    (matcher.authorized_by(request), matcher.routed_by(request))
}

#[test]
fn each_request_meets_its_rule() {
    for scenario in Scenario::ALL {
        for rules in [1, 10, 47, 200] {
            let set = set(scenario, rules);
            let matcher = Matcher::compile(&set).unwrap();
            for hit in Hit::ALL {
                let found = met(&matcher, &request(scenario, rules, hit));
                let number = hit.rule(rules);
                let namespace = if scenario == Scenario::Policy { "istio-system" } else { "shop" };
                let policy = number.map(|rule| format!("ns[{namespace}]-policy[rule-{rule:05}]-rule[0]"));
                let route = number.map(|rule| format!("VirtualService default/scale http[{rule}].match[0]"));
                let expected = match scenario {
                    Scenario::Authz | Scenario::AuthzMixed => (policy, None),
                    Scenario::Routes | Scenario::RoutesMixed => (None, route),
                    Scenario::Policy => (policy, route),
                };
                assert_eq!(found, expected, "{} of {rules}, {}", scenario.name(), hit.name());
            }
        }
    }
}

#[test]
fn every_rule_can_be_met() {
    for scenario in Scenario::ALL {
        let matcher = Matcher::compile(&set(scenario, 20)).unwrap();
        for rule in 0..20 {
            // The last of this many rules is the one of this number, in any larger set, too.
            let request = request(scenario, rule + 1, Hit::Last);
            let (policy, route) = met(&matcher, &request);
            let number = format!("{rule}");
            let of_policy = policy.is_some_and(|name| name.contains(&format!("rule-{rule:05}")));
            let of_route = route.is_some_and(|name| name.contains(&format!("http[{number}]")));
            assert!(of_policy || of_route, "{} {rule}", scenario.name());
        }
    }
}

#[test]
fn the_configuration_is_one_that_filters_read() {
    for scenario in Scenario::ALL {
        let text = plugin_config(scenario, 20).unwrap();
        let config = mesh_policy_istio::workload::PluginConfig::from_json(text.as_bytes()).unwrap();
        assert!(config.workload.is_some() && !config.resources.is_empty(), "{}", scenario.name());
    }
}
