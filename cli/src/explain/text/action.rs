//! What the rule does with the request.

use super::Out;
use crate::explain::Explanation;
use crate::explain::forward::{Forward, Retries};
use crate::explain::route::Matched;
use crate::failure::BOLD;
use mesh_policy_compiler::Instance;
use mesh_policy_core::effect::{HeaderEdit, LocalReply};
use std::io;

/// Faults, the answer or the destination, and the changes to headers.
pub fn action(matched: &Matched, explanation: &Explanation, out: Out<'_>) -> io::Result<()> {
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

/// Those that are tried first, then those that stand in for them.
fn instance_words(instances: &[Instance]) -> String {
    if instances.is_empty() {
        return "none: the answer is 503".to_owned();
    }
    let mut text = String::new();
    let mut priority = 0;
    for (index, instance) in instances.iter().enumerate() {
        if index > 0 {
            text.push_str(if instance.priority == priority { ", " } else { "; when those fail " });
        }
        priority = instance.priority;
        text.push_str(&instance.address);
        let share = instance.locality_weight.map(|weight| format!("share {weight}"));
        let weight = (instance.weight != 1).then(|| format!("weight {}", instance.weight));
        let place = (!instance.locality.is_empty()).then(|| instance.locality.clone());
        let notes: Vec<String> = [place, share, weight].into_iter().flatten().collect();
        if !notes.is_empty() {
            text.push_str(&format!(" ({})", notes.join(", ")));
        }
    }
    text
}

fn upstream(forward: &Forward, explanation: &Explanation, out: Out<'_>) -> io::Result<()> {
    writeln!(out, "\n{BOLD}Sent upstream:{BOLD:#} to {}", forward.cluster)?;
    if let Some(instances) = &explanation.instances {
        writeln!(out, "  instances  {}", instance_words(instances))?;
    }
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
        match mirror.per_million {
            1_000_000.. => writeln!(out, "  mirror     a copy goes to {}", mirror.cluster)?,
            share => {
                writeln!(
                    out,
                    "  mirror     a copy of {} % goes to {}",
                    f64::from(share) / 10_000.0,
                    mirror.cluster
                )?;
            }
        }
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
    if retries.remote_localities {
        text.push_str(", in other localities too");
    }
    if let Some(milliseconds) = retries.backoff_ms {
        text.push_str(&format!(", {} apart and more each time", time(milliseconds)));
    }
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
pub fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
