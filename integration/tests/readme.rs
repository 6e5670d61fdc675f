//! What people read first is true: every command of the README works as it stands there, and every link leads somewhere.

#![expect(clippy::unwrap_used, reason = "the functions beside the tests belong to them")]

use std::{
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use mesh_policy_integration::{
    client::{Client, Request},
    demo::command,
    envoy,
    markdown::Document,
    modules::repository,
    process::{self, Process},
};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);

/// The commands of the README's `sh` blocks, in order.
fn commands() -> Vec<String> {
    let blocks = Document::read("README.md").unwrap().blocks("sh");
    let lines = blocks.concat().replace("\\\n", " ");
    let is_command = |line: &&str| !line.is_empty() && !line.starts_with('#');
    lines.lines().map(str::trim).filter(is_command).map(str::to_owned).collect()
}

/// The commands that begin with these words; there has to be one.
fn commands_of(words: &str) -> Vec<String> {
    let found: Vec<_> = commands().into_iter().filter(|line| format!("{line} ").starts_with(words)).collect();
    assert!(!found.is_empty(), "the README shows no `{words}`");
    found
}

/// A folder that looks like the repository, so that what commands write does not land in it.
fn checkout() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(repository()).unwrap() {
        let entry = entry.unwrap();
        if !entry.file_name().to_string_lossy().starts_with('.') && entry.file_name() != "target" {
            symlink(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
    }
    folder
}

/// A line as a shell runs it in the root of the repository, with `mesh-policy` on PATH.
fn shell(line: &str, root: &Path) -> Command {
    let program = command::find().unwrap();
    let before = env::var_os("PATH").unwrap_or_default();
    let path =
        env::join_paths(program.parent().map(Path::to_owned).into_iter().chain(env::split_paths(&before)));
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(root).env("PATH", path.unwrap());
    command
}

/// What a command that succeeds prints.
fn output(line: &str) -> String {
    let root = checkout();
    let (status, output) = process::run(line, &mut shell(line, root.path()), PATIENCE).unwrap();
    assert!(status.success(), "`{line}` ended with {status}:\n{output}");
    output
}

#[test]
fn every_command_is_run_by_a_test() {
    for line in commands() {
        let words: Vec<_> = line.split_whitespace().take(2).collect();
        let known = match words.as_slice() {
            // They run this test, or take minutes: they are run by themselves. That they are there is seen below.
            ["make", _] => true,
            ["mesh-policy", subcommand] => ["check", "run", "explain", "plugin-config"].contains(subcommand),
            _ => false,
        };
        assert!(known, "no test runs `{line}`");
    }
}

#[test]
fn the_makefile_has_the_targets() {
    let makefile = fs::read_to_string(repository().join("Makefile")).unwrap();
    for line in commands_of("make ") {
        let target = line.split_whitespace().nth(1).unwrap();
        let rule = format!("{target}:");
        assert!(makefile.lines().any(|line| line.starts_with(&rule)), "no target for `{line}`");
    }
}

#[test]
fn check_finds_nothing_wrong_with_the_example() {
    for line in commands_of("mesh-policy check ") {
        let output = output(&line);
        assert!(output.starts_with("no errors in "), "{output}");
    }
}

#[test]
fn explain_names_the_rule_and_where_the_request_goes() {
    for line in commands_of("mesh-policy explain ") {
        let output = output(&line);
        assert!(output.contains("VirtualService") && output.contains("outbound|"), "{output}");
    }
}

#[test]
fn plugin_config_prints_the_configuration_of_a_filter() {
    for line in commands_of("mesh-policy plugin-config ") {
        // Into a file, as people do: warnings stay on the terminal.
        let config: Value = serde_json::from_str(&output(&format!("{line} 2> warnings"))).unwrap();
        assert_eq!(config.get("kind"), Some(&Value::from("List")), "{config:#}");
        assert!(
            config.get("items").and_then(Value::as_array).is_some_and(|items| !items.is_empty()),
            "{config:#}"
        );
        assert!(config.get("workload").is_some(), "{config:#}");
    }
}

#[test]
fn run_serves_requests_until_it_is_stopped() {
    for line in commands_of("mesh-policy run ") {
        // Ports that are free, on loopback; anything else as it stands there.
        let mapped: Vec<_> = line
            .split(' ')
            .map(|word| match word.split_once('=') {
                Some((port, _)) if port.parse::<u16>().is_ok() => format!("{port}=0"),
                _ => word.to_owned(),
            })
            .collect();
        assert!(mapped.join(" ") != line, "`{line}` maps no port");
        let local = format!("exec {} --listen-address 127.0.0.1 --admin-port 0", mapped.join(" "));
        let root = checkout();
        let log = root.path().join("output");
        let mut command = shell(&local, root.path());
        command.env("ENVOY", envoy::find().unwrap());
        let mut run = Process::start(&line, &mut command, &log).unwrap();
        let announced = run.wait_for_log("of the Gateway").unwrap();
        let url = announced.split("http://").nth(1).unwrap_or_else(|| panic!("no URL in `{announced}`"));
        let client = Client::new(url.split('/').next().unwrap().parse().unwrap());
        run.wait_for_log("Ctrl-C").unwrap();
        let unknown = client.send(&Request::get("/").host("nobody.example.org")).unwrap();
        assert_eq!(unknown.status, 404);
        let redirect =
            client.send(&Request::get("/old-path").host("redirect.customers.example.com")).unwrap();
        assert!((300..400).contains(&redirect.status), "{}", redirect.status);
        run.signal(Signal::TERM).unwrap();
        let status = run.wait(PATIENCE).unwrap();
        assert!(status.success(), "{status}\n{}", run.log());
    }
}

/// The Markdown files that people are sent to.
fn documents() -> Vec<PathBuf> {
    let root = repository();
    let mut documents =
        vec![root.join("README.md"), root.join("CONTRIBUTING.md"), root.join("envoy-configs/README.md")];
    let folders = fs::read_dir(root.join("filters")).unwrap().map(|entry| entry.unwrap().path());
    documents.extend(folders.filter(|folder| folder.is_dir()).map(|folder| folder.join("README.md")));
    if let Ok(entries) = fs::read_dir(root.join("docs")) {
        let files = entries.map(|entry| entry.unwrap().path());
        documents.extend(files.filter(|file| file.extension().is_some_and(|extension| extension == "md")));
    }
    documents
}

#[test]
fn every_link_leads_somewhere() {
    let mut links = 0;
    let mut broken = Vec::new();
    for path in documents() {
        let document = Document::read(&path).unwrap();
        links += document.links().len();
        broken.extend(document.broken_links().unwrap());
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(links >= 10, "only {links} links were found");
}
