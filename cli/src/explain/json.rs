//! The explanation for programs.

use crate::explain::Explanation;
use crate::explain::authz::{Authorization, Policy, Rule as AuthzRule};
use crate::explain::forward::Forward;
use crate::explain::route::{Matched, Outcome, Routing, State};
use mesh_policy_core::authz::Unmet;
use mesh_policy_core::effect::{HeaderEdit, LocalReply};
use serde_json::{Value, json};

/// All of it.
pub fn of(explanation: &Explanation) -> Value {
    let request = &explanation.request;
    json!({
        "request": {
            "method": request.method,
            "scheme": request.scheme,
            "authority": request.authority,
            "path": request.path,
            "writtenPath": request.written_path,
            "headers": request.headers.iter().map(|header| json!([header.name, header.value])).collect::<Vec<_>>(),
            "principal": request.principal,
            "sourceIp": request.source_ip.to_string(),
            "port": request.port,
        },
        "listener": { "name": explanation.listener.name, "port": explanation.listener.port },
        "seed": explanation.seed,
        "outcome": outcome(explanation),
        "reply": explanation.local_reply().map(reply),
        "authorization": authorization(&explanation.authorization),
        "routing": routing(&explanation.routing),
        "instances": explanation.instances.as_ref().map(|instances| {
            instances.iter().map(|instance| json!({
                "address": instance.address,
                "locality": instance.locality,
                "priority": instance.priority,
                "weight": instance.weight,
                "localityWeight": instance.locality_weight,
            })).collect::<Vec<_>>()
        }),
    })
}

/// What becomes of the request, in one word.
fn outcome(explanation: &Explanation) -> &'static str {
    if !explanation.authorization.allowed {
        return "denied";
    }
    match &explanation.routing.outcome {
        Outcome::Unmanaged => "unmanaged",
        Outcome::NotFound(_) => "notFound",
        Outcome::Matched(matched) if matched.fault.abort.is_some() => "aborted",
        Outcome::Matched(matched) if matched.forward.is_some() => "forwarded",
        Outcome::Matched(_) => "answered",
    }
}

fn authorization(authorization: &Authorization) -> Value {
    let shadow = |shadow: &Option<(bool, Option<AuthzRule>)>| {
        shadow
            .as_ref()
            .map(|(allowed, rule)| json!({ "allowed": allowed, "rule": rule.as_ref().map(rule_json) }))
    };
    json!({
        "allowed": authorization.allowed,
        "policies": authorization.policies.iter().map(policy).collect::<Vec<_>>(),
        "asks": authorization.asks.as_ref().map(|(provider, rule)| {
            json!({ "provider": provider, "rule": rule_json(rule) })
        }),
        "determining": authorization.determining.as_ref().map(rule_json),
        "nearestMiss": authorization.nearest_miss.as_ref().map(|miss| {
            json!({ "rule": rule_json(&miss.rule), "unmet": unmet(&miss.unmet) })
        }),
        "rules": authorization.rules.iter().map(|considered| {
            json!({
                "rule": rule_json(&considered.rule),
                "matched": considered.matched,
                "unmet": unmet(&considered.unmet),
            })
        }).collect::<Vec<_>>(),
        "audited": authorization.audited.as_ref().map(rule_json),
        "dryRunDeny": shadow(&authorization.shadow_deny),
        "dryRunAllow": shadow(&authorization.shadow_allow),
    })
}

fn policy(policy: &Policy) -> Value {
    json!({ "name": policy.name, "action": policy.action, "dryRun": policy.dry_run })
}

fn rule_json(rule: &AuthzRule) -> Value {
    json!({ "policy": rule.policy.name, "action": rule.policy.action, "rule": rule.index, "id": rule.id, "at": rule.at })
}

fn unmet(conditions: &[Unmet]) -> Vec<Value> {
    conditions
        .iter()
        .map(|unmet| {
            json!({
                "field": unmet.field,
                "attribute": unmet.attribute,
                "wanted": unmet.wanted,
                "found": unmet.found,
            })
        })
        .collect()
}

fn routing(routing: &Routing) -> Value {
    let rules: Vec<Value> = routing
        .rules
        .iter()
        .map(|rule| match &rule.state {
            State::Matched { conditions } => {
                json!({ "rule": rule.place, "at": rule.at, "state": "matched", "conditions": conditions })
            }
            State::PassedOver => json!({ "rule": rule.place, "at": rule.at, "state": "passed-over" }),
            State::Excluded(why) => {
                json!({ "rule": rule.place, "at": rule.at, "state": "excluded", "why": why })
            }
            State::Failed(conditions) => json!({
                "rule": rule.place,
                "at": rule.at,
                "state": "failed",
                "failed": conditions.iter().map(|failed| {
                    json!({ "field": failed.field, "wants": failed.wants, "found": failed.found })
                }).collect::<Vec<_>>(),
            }),
        })
        .collect();
    json!({
        "host": routing.virtual_host.as_ref().map(|host| &host.host),
        "virtualHost": routing.virtual_host.as_ref().and_then(|host| host.domain.as_ref()),
        "domains": routing.virtual_host.as_ref().map(|host| &host.domains),
        "rules": rules,
        "matched": match &routing.outcome {
            Outcome::Matched(rule) => matched(rule),
            _ => Value::Null,
        },
    })
}

fn matched(rule: &Matched) -> Value {
    json!({
        "rule": rule.place,
        "name": rule.name,
        "fault": {
            "delayMs": rule.fault.delay.map(|delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)),
            "abort": rule.fault.abort.as_ref().map(reply),
        },
        "reply": rule.local_reply.as_ref().map(reply),
        "destinations": rule.destinations.iter().map(|share| {
            json!({ "cluster": share.cluster, "weight": share.weight, "drawn": share.drawn })
        }).collect::<Vec<_>>(),
        "forward": rule.forward.as_ref().map(forward),
        "responseHeaders": rule.response.iter().map(edit).collect::<Vec<_>>(),
    })
}

fn forward(forward: &Forward) -> Value {
    json!({
        "cluster": forward.cluster,
        "path": forward.path,
        "authority": forward.authority,
        "mirrors": forward.mirrors.iter().map(|mirror| json!({
            "cluster": mirror.cluster,
            "percent": f64::from(mirror.per_million) / 10_000.0,
        })).collect::<Vec<_>>(),
        "timeoutMs": forward.timeout_ms,
        "retries": forward.retries.as_ref().map(|retries| json!({
            "attempts": retries.attempts,
            "on": retries.on,
            "statusCodes": retries.status_codes,
            "perTryTimeoutMs": retries.per_try_timeout_ms,
            "avoidsTriedHosts": retries.avoids_tried_hosts,
            "remoteLocalities": retries.remote_localities,
            "backoffMs": retries.backoff_ms,
        })),
        "requestHeaders": forward.edits.iter().map(edit).collect::<Vec<_>>(),
    })
}

fn edit(edit: &HeaderEdit<'_>) -> Value {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    match edit {
        HeaderEdit::Set(name, value) => json!({ "operation": "set", "name": name, "value": text(value) }),
        HeaderEdit::Add(name, value) => json!({ "operation": "add", "name": name, "value": text(value) }),
        HeaderEdit::Remove(name) => json!({ "operation": "remove", "name": name }),
    }
}

fn reply(reply: &LocalReply) -> Value {
    json!({
        "status": reply.status,
        "headers": reply.headers.iter().map(|(name, value)| json!([name, String::from_utf8_lossy(value)])).collect::<Vec<_>>(),
        "body": String::from_utf8_lossy(&reply.body),
        "details": reply.details,
    })
}
