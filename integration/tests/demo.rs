//! The demo as `make demo` runs it: all of its rows are ok.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use mesh_policy_integration::{
    markdown::Document,
    process::{self, Process},
    wait,
};
use rustix::process::Signal;

const DEMO: &str = env!("CARGO_BIN_EXE_demo");
/// It takes half a minute; a busy machine takes longer.
const PATIENCE: Duration = Duration::from_secs(300);

/// One demo at a time: it is ten Envoys.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn every_row_of_the_demo_is_ok() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (status, output) = process::run("demo", &mut Command::new(DEMO), PATIENCE).unwrap();
    assert!(status.success(), "{status}\n{output}");
    let counts = output.lines().find(|line| line.contains(" rows: ")).unwrap_or_else(|| panic!("{output}"));
    let rows: usize = counts.split(' ').next().unwrap().parse().unwrap();
    assert_eq!(counts, format!("{rows} rows: {rows} ok, 0 failed"));
    assert!(rows >= 160, "{output}");
    let shown = Document::read("README.md").unwrap().block("text").unwrap();
    for line in shown.lines().filter(|line| !line.is_empty() && *line != "...") {
        let begin = line.split("  ").next().unwrap();
        assert!(output.lines().any(|row| row.starts_with(begin)), "the README shows `{line}`\n{output}");
    }
    assert!(shown.lines().any(|line| line == counts), "the README does not say `{counts}`");
    for section in [
        "Gateway",
        "Weight-based routing",
        "Traffic mirroring",
        "Retries",
        "Circuit breaking",
        "Gateway with TLS",
        "Egress gateway",
        "ServiceEntry, MESH_EXTERNAL",
        "ServiceEntry, MESH_INTERNAL",
        "DestinationRule, tls SIMPLE",
        "SPIFFE identities",
        "PeerAuthentication",
        "AuthorizationPolicy",
    ] {
        assert!(output.lines().any(|line| line.starts_with(section)), "no section `{section}`\n{output}");
    }
}

/// Ctrl-C in the middle: the demo ends, and so does every process that it started.
#[test]
fn stopped_in_the_middle_it_leaves_nothing_behind() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("files");
    fs::create_dir(&files).unwrap();
    // Whatever it starts inherits the folder for temporary files, by which it is found again.
    let mut command = Command::new(DEMO);
    command.env("TMPDIR", &files);
    let mut demo = Process::start("demo", &mut command, &folder.path().join("output")).unwrap();
    demo.wait_for_log_within("Weight-based routing", PATIENCE).unwrap();
    assert!(processes_with(&files).len() > 1);
    demo.signal(Signal::INT).unwrap();
    assert_eq!(demo.wait(PATIENCE).unwrap().code(), Some(130), "{}", demo.log());
    wait::until_true("the processes of the demo to end", || processes_with(&files).is_empty()).unwrap();
    let left: Vec<_> = fs::read_dir(&files).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_mistake_on_the_command_line_shows_how_to_do_it() {
    let output = Command::new(DEMO).arg("--kep").stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with("error: unexpected argument `--kep`\n") && text.contains("--keep"), "{text}");
}

/// The ids of the processes whose temporary files go to this folder.
fn processes_with(folder: &Path) -> Vec<u32> {
    let wanted = format!("TMPDIR={}", folder.display());
    let marked = |id: &u32| {
        let environment = fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(marked).collect()
}
