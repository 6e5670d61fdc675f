//! A disagreement as a file of the corpus.

use super::Disagreement;
use super::observe::show;
use crate::bytes::escape;
use crate::{Context, Result};
use mesh_policy_testkit::generate::{Peer, Probe};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Writes a disagreement into `folder` in the form of `testdata`: both outcomes stand in comments, and what is expected is left
/// for a person to say.
///
/// # Errors
/// The file cannot be written.
pub fn write(found: &Disagreement, folder: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(folder).context(format_args!("creating `{}`", folder.display()))?;
    let path = folder.join(format!("{}-{}.yaml", found.area, found.seed));
    std::fs::write(&path, text(found)).context(format_args!("writing `{}`", path.display()))?;
    Ok(path)
}

/// JSON is YAML: one line a resource.
fn text(found: &Disagreement) -> String {
    let Disagreement { area, seed, set, wasm, native } = found;
    let mut text = format!("about: a disagreement over {area}, seed {seed}\n");
    if let Some(workload) = &set.workload {
        let _ = writeln!(text, "workload: {workload}");
    }
    text += "resources:\n";
    for resource in &set.resources {
        let _ = writeln!(text, "- {resource}");
    }
    let comment = |title: &str, outcome: &str| {
        let lines = outcome.lines().map(|line| format!("#   {line}\n"));
        format!("# {title}\n") + &lines.collect::<String>()
    };
    text += &comment("By the filters:", wasm);
    text += &comment("By Envoy itself:", native);
    match set.probes.first() {
        None => text += "cases: []\n",
        Some(probe) => {
            text += &comment("The request:", &show(probe));
            let status =
                native.lines().next().and_then(|line| line.strip_prefix("status ")?.parse::<u16>().ok());
            let case = json!({
                "name": format!("what the seed {seed} found"),
                "request": request(probe),
                "expect": { "status": status },
            });
            let _ = writeln!(text, "cases:\n- {case}");
        }
    }
    text
}

fn request(probe: &Probe) -> Value {
    let Probe { method, target, authority, http10: _, headers, token, peer, source_ip, told } = probe;
    let mut request = Map::new();
    let mut put = |name: &str, value: Value| drop(request.insert(name.to_owned(), value));
    put("method", json!(escape(method)));
    put("path", json!(escape(target)));
    put("authority", json!(escape(authority.as_deref().unwrap_or_default())));
    let line =
        |(name, value): &(String, Vec<u8>)| format!("{name}: {}", escape(value).replace("\\\\", "\\x5c"));
    if let Some(payload) = token {
        // What is no JSON stays a text, for a person to look at.
        put("token", serde_json::from_str(payload).unwrap_or_else(|_| json!(payload)));
    }
    put("headers", json!(headers.iter().map(line).collect::<Vec<_>>()));
    if let Peer::Mutual(ids) = peer {
        put("from", json!(ids.join(",")));
    }
    put("sourceIp", json!(source_ip));
    if let Some(told) = told {
        put("remoteIp", json!(told.remote_ip));
        put("destinationIp", json!(told.destination_ip));
        put("destinationPort", json!(told.destination_port));
    }
    Value::Object(request)
}
