//! The explanation for people.

use crate::explain::authz::{Authorization, Policy, Rule as AuthzRule};
use crate::explain::forward::{Forward, Retries};
use crate::explain::route::{Matched, Outcome, Routing, Rule, State};
use crate::explain::{Explanation, Listener};
use crate::failure::{BOLD, DIM, ERROR, GOOD, WARNING};
use crate::findings::count;
use mesh_policy_core::authz::Unmet;
use mesh_policy_core::effect::{HeaderEdit, LocalReply};
use std::io::{self, Write};

type Out<'o> = &'o mut dyn Write;

/// How many rules are listed; JSON has all.
const LISTED: usize = 40;

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
            Outcome::Matched(_) => "the rule answers itself",
        };
        let style = if reply.status >= 400 { ERROR } else { GOOD };
        return writeln!(out, "=> {style}answered with {}{style:#}: {why}", reply.status);
    }
    match &explanation.routing.outcome {
        Outcome::Matched(matched) => match &matched.forward {
            Some(forward) => writeln!(out, "=> {GOOD}forwarded{GOOD:#} to {}", forward.cluster),
            None => writeln!(out, "=> {ERROR}answered by the proxy{ERROR:#}"),
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
        (Some(rule), true) => writeln!(out, "{GOOD}allowed{GOOD:#} by {}", rule.place())?,
        (Some(rule), false) => writeln!(out, "{ERROR}denied{ERROR:#} by {}", rule.place())?,
        (None, true) if authorization.policies.is_empty() => {
            writeln!(out, "{GOOD}allowed{GOOD:#}, no policy applies to this proxy")?;
        }
        (None, true) => {
            writeln!(out, "{GOOD}allowed{GOOD:#}, no DENY rule matches and no ALLOW policy applies")?
        }
        (None, false) => {
            let policies = count(of("ALLOW"), "ALLOW policy").replace("policys", "policies");
            writeln!(out, "{ERROR}denied{ERROR:#}, none of the rules of {policies} matches")?;
        }
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
    for considered in others.iter().take(LISTED) {
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
    if number > LISTED {
        writeln!(out, "  .. and {} more, which `-o json` lists", number - LISTED)?;
    }
    Ok(())
}

fn routing(explanation: &Explanation, out: Out<'_>) -> io::Result<()> {
    let Routing { virtual_host, rules, outcome } = &explanation.routing;
    write!(out, "{BOLD}Routing:{BOLD:#} ")?;
    match virtual_host {
        None => writeln!(out, "no virtual host is looked for")?,
        Some(host) => match &host.domain {
            Some(domain) => {
                writeln!(out, "the virtual host `{domain}` speaks for `{}`", host.host)?;
            }
            None if host.domains.is_empty() => writeln!(out, "no host is served here")?,
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
    if !explanation.authorization.allowed {
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
    match &rule.state {
        State::Matched => writeln!(out, "  {GOOD}yes{GOOD:#}  {BOLD}{}{BOLD:#}", rule.place),
        State::Excluded(why) => writeln!(out, "  {DIM}off{DIM:#}  {}\n       {why}", rule.place),
        State::Failed(conditions) => {
            writeln!(out, "  {DIM}no {DIM:#}  {}", rule.place)?;
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

fn action(matched: &Matched, explanation: &Explanation, out: Out<'_>) -> io::Result<()> {
    if let Some(delay) = matched.fault.delay {
        let milliseconds = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        writeln!(
            out,
            "\n{BOLD}Fault:{BOLD:#} held for {} (drawn with seed {})",
            time(milliseconds),
            explanation.seed
        )?;
    }
    if let Some(abort) = &matched.fault.abort {
        writeln!(out, "\n{BOLD}Fault:{BOLD:#} aborted (drawn with seed {})", explanation.seed)?;
        reply(abort, out)?;
        return edits("Response to the client", &matched.response, out);
    }
    if let Some(own) = &matched.local_reply {
        writeln!(out, "\n{BOLD}Reply:{BOLD:#}")?;
        reply(own, out)?;
    }
    if matched.destinations.len() > 1 {
        writeln!(out, "\n{BOLD}Destination:{BOLD:#} drawn by weight with seed {}", explanation.seed)?;
        let total: u64 = matched.destinations.iter().map(|share| u64::from(share.weight)).sum();
        for share in &matched.destinations {
            let mark = if share.drawn { "  <- this one" } else { "" };
            writeln!(out, "  {} of {total}  {}{mark}", share.weight, share.cluster)?;
        }
    }
    if let Some(forward) = &matched.forward {
        upstream(forward, explanation, out)?;
    }
    edits("Response to the client", &matched.response, out)
}

fn upstream(forward: &Forward, explanation: &Explanation, out: Out<'_>) -> io::Result<()> {
    writeln!(out, "\n{BOLD}Sent upstream:{BOLD:#} to {}", forward.cluster)?;
    let (path, authority) = (forward.path.as_deref(), forward.authority.as_deref());
    let changed = |now: Option<&str>, before: &str| match now {
        Some(now) if now != before => format!("{}  (rewritten from {before})", shown(now)),
        now => shown(now.unwrap_or_default()),
    };
    writeln!(out, "  path       {}", changed(path, &explanation.request.path))?;
    writeln!(out, "  authority  {}", changed(authority, &explanation.request.authority))?;
    for edit in &forward.edits {
        writeln!(out, "  header     {}", words(edit))?;
    }
    for mirror in &forward.mirrors {
        writeln!(out, "  mirror     a copy goes to {mirror}")?;
    }
    match forward.timeout_ms {
        Some(milliseconds) => writeln!(out, "  timeout    {}, then 504", time(milliseconds))?,
        None => writeln!(out, "  timeout    none")?,
    }
    match &forward.retries {
        Some(retries) => writeln!(out, "  retries    {}", retry_words(retries)),
        None => writeln!(
            out,
            "  retries    Istio's default: 2 more attempts, when no answer came or it was unavailable"
        ),
    }
}

fn retry_words(retries: &Retries) -> String {
    if retries.on.is_empty() || retries.attempts == 0 {
        return "none".to_owned();
    }
    let mut text = format!("{} on {}", count_attempts(retries.attempts), retries.on.join(", "));
    if !retries.status_codes.is_empty() {
        text.push_str(&format!(" ({})", retries.status_codes.join(", ")));
    }
    if let Some(milliseconds) = retries.per_try_timeout_ms {
        text.push_str(&format!(", each for {} at most", time(milliseconds)));
    }
    text.push_str(if retries.avoids_tried_hosts { ", on other hosts" } else { ", on any host" });
    text
}

fn count_attempts(attempts: u64) -> String {
    format!("{attempts} more attempt{}", if attempts == 1 { "" } else { "s" })
}

fn reply(reply: &LocalReply, out: Out<'_>) -> io::Result<()> {
    writeln!(out, "  status     {}", reply.status)?;
    for (name, value) in &reply.headers {
        writeln!(out, "  header     {name}: {}", shown(&String::from_utf8_lossy(value)))?;
    }
    if !reply.body.is_empty() {
        writeln!(out, "  body       {}", shown(&String::from_utf8_lossy(&reply.body)))?;
    }
    Ok(())
}

fn edits(title: &str, edits: &[HeaderEdit<'_>], out: Out<'_>) -> io::Result<()> {
    if edits.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{BOLD}{title}:{BOLD:#}")?;
    edits.iter().try_for_each(|edit| writeln!(out, "  header     {}", words(edit)))
}

fn words(edit: &HeaderEdit<'_>) -> String {
    match edit {
        HeaderEdit::Set(name, value) => format!("set {name}: {}", shown(&String::from_utf8_lossy(value))),
        HeaderEdit::Add(name, value) => format!("add {name}: {}", shown(&String::from_utf8_lossy(value))),
        HeaderEdit::Remove(name) => format!("remove {name}"),
    }
}

fn time(milliseconds: u64) -> String {
    if milliseconds.is_multiple_of(1000) {
        format!("{}s", milliseconds / 1000)
    } else {
        format!("{milliseconds}ms")
    }
}

/// Text that a terminal cannot take for orders.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
