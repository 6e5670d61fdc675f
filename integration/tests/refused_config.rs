//! What is wrong with a plugin configuration: Envoy does not take it, and the log says why, one line a problem.

#![expect(clippy::unwrap_used, reason = "the functions beside the tests belong to them")]

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use mesh_policy_integration::{
    Context, Result,
    client::{Client, Request},
    config,
    envoy::{Envoy, Options},
    mesh::{customers, list, policy, to},
    modules::Module,
    readme::Readme,
    wait,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Has Envoy judge a filter, and gives the lines by which it refuses its configuration.
fn refusal(filter: &Value) -> Vec<String> {
    let routes = config::routes(&[config::direct_response("/", 200, "")]);
    let bootstrap = config::bootstrap(&[config::listener("in", std::slice::from_ref(filter), &routes)], &[]);
    let validation = Envoy::validate(&bootstrap).unwrap();
    assert_eq!(validation.status, Some(1), "{}", validation.output);
    problems(&validation.output)
}

/// What the filter says in the log, without the time and Envoy's words around it.
fn problems(log: &str) -> Vec<String> {
    let said = |line: &str| {
        Some(line.split_once("[error][wasm]")?.1.split_once(" wasm log ")?.1.split_once(": ")?.1.to_owned())
    };
    let mut lines: Vec<String> = Vec::new();
    for line in log.lines().filter_map(said) {
        // Envoy configures a filter twice, on the main thread and on a worker.
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

fn refusal_of(configuration: &str) -> Vec<String> {
    refusal(&Readme::of(Module::Policy).unwrap().with("refused", configuration).unwrap())
}

/// As it is written: no JSON library gives the same key twice.
const MISWRITTEN: &str = r#"{
  "kind": "List",
  "items": [
    {
      "apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "customers"},
      "spec": {
        "hosts": ["customers"],
        "http": [
          {"route": [{"destination": {"host": "customers", "subnet": "v1"}}]},
          {"route": [{"destination": {"host": "customers"}, "timeout": "2s"}]},
          {"timeout": "2s", "route": [{"destination": {"host": "customers"}, "weight": "most"}], "timeout": "3s"}
        ]
      }
    },
    {
      "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": {"name": "readers"},
      "spec": {"action": "ALOW", "rules": [{"to": [{"operation": {"methods": "GET"}}]}]}
    },
    {"apiVersion": "networking.istio.io/v1", "kind": "VirtualSevice", "metadata": {"name": "typo"}, "spec": {}}
  ],
  "workload": {"namespace": "default", "label": {"app": "backend"}}
}"#;

#[test]
fn every_mistake_of_writing_is_a_line_with_its_path() {
    let expected = [
        "items[0].spec.http[0].route[0].destination.subnet: unknown field (did you mean `subset`?)",
        "items[0].spec.http[1].route[0].timeout: unknown field; it belongs in items[0].spec.http[1].timeout",
        "items[0].spec.http[2].timeout: duplicate key `timeout`",
        "items[0].spec.http[2].route[0].weight: expected a whole number, found `most`",
        "items[1].spec.rules[0].to[0].operation.methods: expected a list, found a string",
        "items[1].spec.action: expected one of ALLOW, DENY, AUDIT, CUSTOM, found `ALOW`",
        "items[2].kind: unknown kind `VirtualSevice`: expected one of VirtualService, DestinationRule, Gateway, \
         ServiceEntry, WorkloadEntry, AuthorizationPolicy, PeerAuthentication, RequestAuthentication",
        "workload.label: unknown field (did you mean `labels`?)",
    ];
    assert_eq!(refusal_of(MISWRITTEN), expected);
}

#[test]
fn every_illegal_value_is_a_line_with_its_path() {
    let weight = |value: i32| json!({ "destination": { "host": "customers" }, "weight": value });
    let configuration = list(&[
        customers(&json!([
            { "match": [{ "uri": { "regex": "/a(b" } }], "route": [to("v1")] },
            { "match": [{ "uri": { "prefix": "/b" } }], "route": [weight(-1), weight(100)] },
            { "match": [{ "uri": { "prefix": "/c" } }], "route": [to("v1")],
              "fault": { "abort": { "httpStatus": 503, "percentage": { "value": 101 } } } },
            { "match": [{ "uri": { "prefix": "/d" } }], "route": [to("v1")], "timeout": "-1s" },
        ])),
        policy(
            "blocks",
            &json!({ "rules": [{ "from": [{ "source": { "ipBlocks": ["10.0.0.0/33", "10.0.0"] } }] }] }),
        ),
    ]);
    let expected = [
        "items[1].spec.rules[0].from[0].source.ipBlocks[0]: expected an IP address or a CIDR block such as \
         `10.0.0.0/8`, found `10.0.0.0/33`",
        "items[1].spec.rules[0].from[0].source.ipBlocks[1]: expected an IP address or a CIDR block such as \
         `10.0.0.0/8`, found `10.0.0`",
        "items[0].spec.http[0].match[0].uri.regex: `/a(b` is not a regular expression: unclosed group",
        "items[0].spec.http[1].route[0].weight: expected a weight of 0 or more, found `-1`",
        "items[0].spec.http[2].fault.abort.percentage.value: expected 0 or a percentage from 0.0001 to 100, found `101`",
        "items[0].spec.http[3].timeout: expected a duration of whole milliseconds, at least `1ms`, found a negative \
         duration or one too long to count",
    ];
    assert_eq!(refusal_of(&configuration.to_string()), expected);
}

#[test]
fn a_configuration_that_is_not_one_json_value_is_refused() {
    let empty = ".: the plugin configuration is empty (give it the resources as JSON: {\"apiVersion\": \"v1\", \
                 \"kind\": \"List\", \"items\": [...]})";
    assert_eq!(refusal_of(""), [empty]);
    let trailing = ".: not JSON: trailing characters at line 1 column 31";
    assert_eq!(refusal_of("{\"kind\": \"List\", \"items\": []} {}"), [trailing]);
}

#[test]
fn a_struct_is_recognised_and_the_way_to_write_it_said() {
    let mut filter = Readme::of(Module::Policy).unwrap().as_written().unwrap();
    *filter.pointer_mut("/typed_config/config/configuration").unwrap() = json!({
        "@type": "type.googleapis.com/google.protobuf.Struct",
        "value": list(&[]),
    });
    assert_eq!(
        refusal(&filter),
        [
            ".: not JSON: expected value at line 2 column 1 (this looks like a google.protobuf.Struct; wrap the JSON text \
         in a google.protobuf.StringValue)",
        ]
    );
}

/// Each of the single filters reads what it enforces, and refuses mistakes in all of it.
#[test]
fn each_module_refuses_what_it_cannot_enforce() {
    let route = customers(&json!([{ "match": [{ "uri": { "regex": "(" } }], "route": [to("v1")] }]));
    let blocks =
        policy("blocks", &json!({ "rules": [{ "from": [{ "source": { "ipBlocks": ["10.0.0.0/33"] } }] }] }));
    let in_route =
        "items[0].spec.http[0].match[0].uri.regex: `(` is not a regular expression: unclosed group";
    let in_blocks = "items[0].spec.rules[0].from[0].source.ipBlocks[0]: expected an IP address or a CIDR block such as \
                     `10.0.0.0/8`, found `10.0.0.0/33`";
    for (module, item, expected) in [
        (Module::Router, &route, in_route),
        (Module::Headers, &route, in_route),
        (Module::Fault, &route, in_route),
        (Module::Authz, &blocks, in_blocks),
    ] {
        let configuration = list(std::slice::from_ref(item)).to_string();
        let lines = refusal(&Readme::of(module).unwrap().with("refused", &configuration).unwrap());
        assert_eq!(lines, [expected], "{module:?}");
    }
}

/// A listener whose filter stands in a file that Envoy watches.
struct Watched {
    envoy: Envoy,
    folder: TempDir,
}

impl Watched {
    fn start(configuration: &str) -> Result<Self> {
        let folder = tempfile::tempdir().context("a folder for the filter")?;
        write(folder.path(), configuration)?;
        let filter = json!({
            "name": "mesh-policy",
            "config_discovery": {
                "config_source": { "path_config_source": {
                    "path": folder.path().join("filter.json"),
                    "watched_directory": { "path": folder.path() },
                } },
                "type_urls": ["type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"],
            },
        });
        let routes = config::routes(&[config::direct_response("/", 404, "no filter answered")]);
        let bootstrap = config::bootstrap(&[config::listener("in", &[filter], &routes)], &[]);
        let overlay = json!({ "node": { "id": "test", "cluster": "test" } });
        Ok(Self { envoy: Envoy::start(&bootstrap, &Options { overlay, ..Options::default() })?, folder })
    }

    /// Gives the filter another configuration.
    fn update(&self, configuration: &str) -> Result<()> {
        write(self.folder.path(), configuration)
    }

    fn rejected(&self) -> u64 {
        let name = "extension_config_discovery.http_filter.mesh-policy.update_rejected";
        self.envoy.admin().stat(name).unwrap()
    }
}

/// A new file, moved into place as a whole.
fn write(folder: &Path, configuration: &str) -> Result<()> {
    let mut filter = Readme::of(Module::Policy)?.with("watched", configuration)?;
    let kind = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig";
    config::merge(&mut filter, &json!({ "@type": kind }));
    let (new, path) = (folder.join("new.json"), folder.join("filter.json"));
    fs::write(&new, json!({ "resources": [filter] }).to_string()).context("the filter")?;
    fs::rename(&new, &path).context("moving the filter into place")
}

fn answering(body: &str) -> String {
    let direct = json!([{ "directResponse": { "status": 200, "body": { "string": body } } }]);
    list(&[customers(&direct)]).to_string()
}

/// Ends the load when the updates are over, also when one of them fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn updates_take_effect_and_refused_ones_leave_the_old_configuration_and_no_request_fails() {
    const UPDATES: usize = 5;
    let watched = Watched::start(&answering("version 0")).unwrap();
    let client = Client::new(watched.envoy.listener("in").unwrap());
    let get = || client.send(&Request::get("/").host("customers"));
    let (stop, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    // What the answers say, each time that it changes.
    let load = || {
        let mut seen: Vec<String> = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let response = get().unwrap();
            sent.fetch_add(1, Ordering::Relaxed);
            let text = format!("{} {}", response.status, response.text());
            if seen.last() != Some(&text) {
                seen.push(text);
            }
        }
        seen
    };
    let seen = thread::scope(|scope| {
        let threads = [scope.spawn(load), scope.spawn(load)];
        let stop = Stop(&stop);
        for version in 1..=UPDATES {
            let (body, mistake) = (format!("version {version}"), format!("http{version}"));
            watched.update(&answering(&body)).unwrap();
            wait::until_true(&body, || get().unwrap().text() == body).unwrap();
            // Envoy keeps the outcome of a configuration that it knows: each mistake is another.
            watched.update(&MISWRITTEN.replace("subnet", &mistake)).unwrap();
            wait::until_true("the refusal", || watched.rejected() == version as u64).unwrap();
            let line = format!("items[0].spec.http[0].route[0].destination.{mistake}: unknown field");
            assert!(problems(&watched.envoy.log()).contains(&line));
            let some = sent.load(Ordering::Relaxed) + 50;
            wait::until_true("more requests", || sent.load(Ordering::Relaxed) >= some).unwrap();
            assert_eq!(get().unwrap().text(), body);
        }
        drop(stop);
        threads.map(|thread| thread.join().unwrap())
    });
    let expected: Vec<_> = (0..=UPDATES).map(|version| format!("200 version {version}")).collect();
    assert_eq!(seen, [expected.clone(), expected]);
}
