//! What people write in Lua instead: a table of rules that is walked from its begin, for each request.
//!
//! For authorization each entry is a method and a path prefix; a request that meets none is answered with 403. For routes each
//! entry is a path prefix, a header with its value, and a cluster; the cluster goes into the header that Envoy's route reads,
//! and a request that meets none is answered with 404. The table is read once, when the script is loaded.

use std::fmt::Write as _;

use mesh_policy_testkit::scale::Scenario;
use serde_json::{Value, json};

use crate::{Context, Error, Result};

/// The header that the route behind the script reads.
pub const CLUSTER_HEADER: &str = "x-lua-cluster";

const AUTHZ: &str = r#"
local methods, prefixes = {}, {}
for method, prefix in RULES:gmatch("(%S+) (%S+)\n") do
  methods[#methods + 1], prefixes[#prefixes + 1] = method, prefix
end
function envoy_on_request(handle)
  local headers = handle:headers()
  local method, path = headers:get(":method"), headers:get(":path")
  for i = 1, #prefixes do
    local prefix = prefixes[i]
    if methods[i] == method and path:sub(1, #prefix) == prefix then return end
  end
  handle:respond({[":status"] = "403"}, "RBAC: access denied")
end
"#;

const ROUTES: &str = r#"
local prefixes, names, values, clusters = {}, {}, {}, {}
for prefix, name, value, cluster in RULES:gmatch("(%S+) (%S+) (%S+) (%S+)\n") do
  local i = #prefixes + 1
  prefixes[i], names[i], values[i], clusters[i] = prefix, name, value, cluster
end
function envoy_on_request(handle)
  local headers = handle:headers()
  local path = headers:get(":path")
  for i = 1, #prefixes do
    local prefix = prefixes[i]
    if path:sub(1, #prefix) == prefix and headers:get(names[i]) == values[i] then
      headers:replace("x-lua-cluster", clusters[i])
      return
    end
  end
  handle:respond({[":status"] = "404"}, "")
end
"#;

/// The filter that carries out these resources.
///
/// # Errors
/// They hold something that the script does not know.
pub fn filter(scenario: Scenario, resources: &[Value]) -> Result<Value> {
    let (rules, script) = match scenario {
        Scenario::Authz => (resources.iter().map(policy).collect::<Option<String>>(), AUTHZ),
        Scenario::Routes => (resources.iter().map(virtual_service).collect(), ROUTES),
        _ => return Err(Error::new(format!("no Lua for {}", scenario.name()))),
    };
    let rules = rules.context("a rule that Lua does not know")?;
    Ok(json!({
        "name": "envoy.filters.http.lua",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": { "inline_string": format!("local RULES = [[\n{rules}]]\n{script}") },
        },
    }))
}

/// `GET /prefix/`
fn policy(resource: &Value) -> Option<String> {
    let operation = resource.pointer("/spec/rules/0/to/0/operation")?;
    let method = operation.pointer("/methods/0")?.as_str()?;
    let prefix = operation.pointer("/paths/0")?.as_str()?.strip_suffix('*')?;
    Some(format!("{method} {prefix}\n"))
}

/// `/prefix/ header value cluster`, a line for each rule.
fn virtual_service(resource: &Value) -> Option<String> {
    let mut lines = String::new();
    for rule in resource.pointer("/spec/http")?.as_array()? {
        let prefix = rule.pointer("/match/0/uri/prefix")?.as_str()?;
        let (header, value) = rule.pointer("/match/0/headers")?.as_object()?.iter().next()?;
        let value = value.get("exact")?.as_str()?;
        let to = rule.pointer("/route/0/destination")?;
        let (host, subset) = (to.get("host")?.as_str()?, to.get("subset")?.as_str()?);
        let port = to.pointer("/port/number")?.as_u64()?;
        let host = format!("{host}.default.svc.cluster.local");
        writeln!(lines, "{prefix} {header} {value} outbound|{port}|{subset}|{host}").ok()?;
    }
    Some(lines)
}
