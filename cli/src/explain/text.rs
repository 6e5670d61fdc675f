//! The explanation for people.

mod action;

use crate::explain::authz::{Authorization, Policy, Rule as AuthzRule};
use crate::explain::route::{Outcome, Routing, Rule, State};
use crate::explain::{Explanation, Listener};
use crate::failure::{BOLD, DIM, ERROR, GOOD, WARNING};
use action::{action, shown};
use mesh_policy_core::authz::Unmet;
use std::io::{self, Write};

type Out<'o> = &'o mut dyn Write;

/// How many rules are listed; JSON has all.
const LISTED: usize = 40;

/// How many rules of policies are listed beside the one that decides.
const OTHERS: usize = 12;

/// Writes the answer first, then the reasons.
pub fn write(explanation: &Explanation, out: Out<'_>) -> io::Result<()> {
    let request = &explanation.request;
    write!(
        out,
        "{BOLD}{} {}://{}{}{BOLD:#} from {}",
        request.method, request.scheme, request.authority, request.path, request.source_ip
    )?;
    match &request.principal {
        Some(principal) => writeln!(out, ", identity `{principal}`")?,
        None => writeln!(out)?,
    }
    if let Some(written) = &request.written_path {
        writeln!(out, "  Envoy normalises the path `{written}` before any rule sees it")?;
    }
    answer(explanation, out)?;
    writeln!(out)?;
    authorization(&explanation.authorization, out)?;
    writeln!(out)?;
    routing(explanation, out)
}

fn answer(explanation: &Explanation, out: Out<'_>) -> io::Result<()> {
    if let Some(reply) = explanation.local_reply() {
        let why = match &explanation.routing.outcome {
            _ if !explanation.authorization.allowed => "authorization denies it",
            Outcome::NotFound(_) | Outcome::Unmanaged => "no rule takes it",
            Outcome::Matched(matched) if matched.fault.abort.is_some() => "a fault is injected",
            Outcome::Matched(_) if (300..400).contains(&reply.status) => "the rule redirects it",
            Outcome::Matched(_) => "the rule answers itself",
        };
        let style = if reply.status >= 400 { ERROR } else { GOOD };
        return writeln!(out, "=> {style}answered with {}{style:#}: {why}", reply.status);
    }
    match &explanation.routing.outcome {
        Outcome::Matched(matched) => match (&matched.forward, &explanation.authorization.asks) {
            (Some(forward), Some((provider, _))) => writeln!(
                out,
                "=> {GOOD}forwarded{GOOD:#} to {}, if the provider `{provider}` allows it",
                forward.cluster
            ),
            (Some(forward), None) => writeln!(out, "=> {GOOD}forwarded{GOOD:#} to {}", forward.cluster),
            (None, _) => writeln!(out, "=> {ERROR}answered by the proxy{ERROR:#}"),
        },
        _ => writeln!(
            out,
            "=> {GOOD}passed on{GOOD:#}: no VirtualService speaks for this host, Envoy's own routes apply"
        ),
    }
}

fn authorization(authorization: &Authorization, out: Out<'_>) -> io::Result<()> {
    write!(out, "{BOLD}Authorization:{BOLD:#} ")?;
    let of = |action: &str| authorization.policies.iter().filter(|policy| enforced(policy, action)).count();
    match (&authorization.determining, authorization.allowed) {
        (Some(rule), false) if rule.policy.action == "CUSTOM" => {
            writeln!(out, "{ERROR}denied{ERROR:#} by {}: its provider cannot be asked", rule.place())?;
        }
        (Some(rule), true) => writeln!(out, "{GOOD}allowed{GOOD:#} by {}", rule.place())?,
        (Some(rule), false) => writeln!(out, "{ERROR}denied{ERROR:#} by {}", rule.place())?,
        (None, true) if authorization.policies.is_empty() => {
            writeln!(out, "{GOOD}allowed{GOOD:#}, no policy applies to this proxy")?;
        }
        (None, true) => {
            writeln!(out, "{GOOD}allowed{GOOD:#}, no DENY rule matches and no ALLOW policy applies")?
        }
        (None, false) => {
            writeln!(out, "{ERROR}denied{ERROR:#}, no rule of the ALLOW policies ({}) matches", of("ALLOW"))?;
        }
    }
    if let Some((provider, rule)) = &authorization.asks {
        let place = rule.place();
        writeln!(
            out,
            "  before that, the proxy {WARNING}would ask the provider `{provider}`{WARNING:#}, by {place}"
        )?;
    }
    let determining = authorization.determining.as_ref().map(|rule| &rule.id);
    if let Some(miss) = &authorization.nearest_miss {
        writeln!(out, "  nearest miss: {}", miss.rule.place())?;
        unmet(&miss.unmet, out)?;
    }
    let missed = authorization.nearest_miss.as_ref().map(|miss| &miss.rule.id);
    let others: Vec<_> = authorization
        .rules
        .iter()
        .filter(|considered| Some(&considered.rule.id) != determining && Some(&considered.rule.id) != missed)
        .collect();
    for considered in others.iter().take(OTHERS) {
        let word = if considered.matched { "matches" } else { "does not match" };
        writeln!(out, "  {DIM}{}{DIM:#} {} {word}", considered.rule.policy.action, considered.rule.place())?;
        unmet(&considered.unmet, out)?;
    }
    more(others.len(), out)?;
    for policy in authorization.policies.iter().filter(|policy| !mentions(authorization, policy)) {
        writeln!(out, "  {DIM}{}{DIM:#} AuthorizationPolicy {} has no rules", policy.action, policy.name)?;
    }
    if let Some(rule) = &authorization.audited {
        writeln!(out, "  recorded by {}", rule.place())?;
    }
    for (action, shadow) in [("DENY", &authorization.shadow_deny), ("ALLOW", &authorization.shadow_allow)] {
        if let Some((allowed, rule)) = shadow {
            let word = if *allowed { "allow" } else { "deny" };
            let by =
                rule.as_ref().map(AuthzRule::place).map(|place| format!(", by {place}")).unwrap_or_default();
            writeln!(out, "  {WARNING}dry run{WARNING:#} of {action} policies: they would {word} it{by}")?;
        }
    }
    Ok(())
}

fn enforced(policy: &Policy, action: &str) -> bool {
    policy.action == action && !policy.dry_run
}

fn mentions(authorization: &Authorization, policy: &Policy) -> bool {
    let determining = authorization.determining.iter().map(|rule| &rule.policy);
    let missed = authorization.nearest_miss.iter().map(|miss| &miss.rule.policy);
    let considered = authorization.rules.iter().map(|considered| &considered.rule.policy);
    determining.chain(missed).chain(considered).any(|mentioned| mentioned == policy)
}

fn unmet(conditions: &[Unmet], out: Out<'_>) -> io::Result<()> {
    conditions.iter().try_for_each(|unmet| {
        writeln!(out, "       {}: wants {}, found {}", unmet.field, unmet.wanted, unmet.found)
    })
}

fn more(number: usize, out: Out<'_>) -> io::Result<()> {
    if number > OTHERS {
        writeln!(out, "  .. and {} more, which `-o json` lists", number - OTHERS)?;
    }
    Ok(())
}

fn routing(explanation: &Explanation, out: Out<'_>) -> io::Result<()> {
    let Routing { virtual_host, rules, outcome } = &explanation.routing;
    write!(out, "{BOLD}Routing:{BOLD:#} ")?;
    match virtual_host {
        None => writeln!(out, "no VirtualService applies here")?,
        Some(host) => match &host.domain {
            Some(domain) => {
                writeln!(out, "the virtual host `{domain}` speaks for `{}`", host.host)?;
            }
            None if host.domains.is_empty() => writeln!(out, "no VirtualService applies here")?,
            None => {
                let served: Vec<String> =
                    host.domains.iter().take(LISTED).map(|domain| format!("`{domain}`")).collect();
                writeln!(
                    out,
                    "no virtual host speaks for `{}`: served are {}",
                    host.host,
                    served.join(", ")
                )?;
            }
        },
    }
    listener(&explanation.listener, explanation.request.port, out)?;
    if explanation.sidecar {
        writeln!(
            out,
            "  {DIM}(VirtualServices act on what the workload sends, policies on what it receives){DIM:#}"
        )?;
    } else if !explanation.authorization.allowed {
        writeln!(out, "  {DIM}(what would happen if the request were allowed){DIM:#}")?;
    }
    // The rules next to the one that matched tell most.
    let hidden = rules.len().saturating_sub(LISTED);
    if hidden > 0 {
        writeln!(out, "  {hidden} rules before these, which `-o json` lists")?;
    }
    rules.iter().skip(hidden).try_for_each(|rule| one_rule(rule, out))?;
    match outcome {
        Outcome::Unmanaged => Ok(()),
        Outcome::NotFound(reply) => writeln!(out, "  answered with {}, there is no fallback", reply.status),
        Outcome::Matched(matched) => action(matched, explanation, out),
    }
}

fn listener(listener: &Listener, port: u16, out: Out<'_>) -> io::Result<()> {
    match listener.port {
        Some(own) if listener.assumed => {
            writeln!(
                out,
                "  listener {}: port {port} is taken for its port {own}, the only one",
                listener.name
            )
        }
        Some(own) => writeln!(out, "  listener {}, port {own}", listener.name),
        None => writeln!(out, "  listener {}", listener.name),
    }
}

fn one_rule(rule: &Rule, out: Out<'_>) -> io::Result<()> {
    let at = rule.at.as_ref().map(|at| format!(" ({at})")).unwrap_or_default();
    match &rule.state {
        State::Matched { conditions } => {
            writeln!(out, "  {GOOD}yes{GOOD:#}  {BOLD}{}{BOLD:#}{at}", rule.place)?;
            match conditions {
                Some(conditions) => writeln!(out, "       {}", shown(conditions)),
                None => writeln!(out, "       it takes every request"),
            }
        }
        State::PassedOver => {
            writeln!(
                out,
                "  {DIM}-{DIM:#}    {}{at}\n       not asked: the first rule that matches is taken",
                rule.place
            )
        }
        State::Excluded(why) => writeln!(out, "  {DIM}off{DIM:#}  {}{at}\n       {why}", rule.place),
        State::Failed(conditions) => {
            writeln!(out, "  {DIM}no {DIM:#}  {}{at}", rule.place)?;
            conditions.iter().try_for_each(|failed| {
                let found = match &failed.found {
                    Some(found) => format!("found `{}`", shown(found)),
                    None => "the request has none".to_owned(),
                };
                writeln!(out, "       {}: wants {}, {found}", failed.field, failed.wants)
            })
        }
    }
}
