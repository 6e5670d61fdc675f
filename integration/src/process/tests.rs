use super::*;

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

fn runs(id: u32) -> bool {
    Path::new("/proc").join(id.to_string()).exists()
}

#[test]
fn the_exit_status_and_both_outputs_are_reported() {
    let (status, output) =
        run("a shell", &mut shell("echo out; echo err >&2; exit 3"), wait::PATIENCE).unwrap();
    assert_eq!(status.code(), Some(3));
    assert_eq!(output, "out\nerr\n");
}

#[test]
fn a_program_that_does_not_end_is_ended_and_its_output_shown() {
    let error =
        run("a shell", &mut shell("echo here; exec sleep 60"), Duration::from_millis(200)).unwrap_err();
    let error = error.to_string();
    assert!(error.starts_with("a shell still ran after ") && error.ends_with("it printed:\nhere"), "{error}");
}

#[test]
fn a_program_that_does_not_exist_is_named() {
    let error = run("nothing", &mut Command::new("/nonexistent/program"), wait::PATIENCE).unwrap_err();
    assert!(error.to_string().starts_with("starting nothing (`/nonexistent/program`): "), "{error}");
}

#[test]
fn dropping_ends_a_process_that_ignores_being_asked() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut command = shell("trap '' TERM; echo ready; while :; do sleep 0.1; done");
    let process = Process::start("a shell", &mut command, &log).unwrap();
    wait::until_true("the trap to be set", || process.log() == "ready\n").unwrap();
    let id = process.id();
    assert!(runs(id));
    drop(process);
    assert!(!runs(id));
}

#[test]
fn an_ended_process_is_not_signalled() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::start("a shell", &mut shell("exit 0"), &folder.path().join("log")).unwrap();
    process.wait(wait::PATIENCE).unwrap();
    let error = process.signal(Signal::TERM).unwrap_err();
    assert_eq!(error.to_string(), "a shell has already ended with exit status: 0");
}

#[test]
fn closing_the_guardians_input_ends_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let mut process =
        Process::start("a sleeper", &mut shell("exec sleep 60"), &folder.path().join("log")).unwrap();
    // What the kernel does when the process that holds the pipe is killed.
    drop(process.guardian.child.as_mut().unwrap().stdin.take());
    let status = process.wait(wait::PATIENCE).unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(15));
}

#[test]
fn an_orphan_leaves_no_folder_behind() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("own files");
    std::fs::create_dir(&own).unwrap();
    let mut process = Process::start("a sleeper", &mut shell("exec sleep 60"), &own.join("log")).unwrap();
    process.own_folder(&own).unwrap();
    drop(process.guardian.child.as_mut().unwrap().stdin.take());
    process.wait(wait::PATIENCE).unwrap();
    wait::until_true("the folder to be removed", || !own.exists()).unwrap();
    assert!(folder.path().exists());
}

#[test]
fn a_line_is_waited_for_until_the_process_ends_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::start(
        "a shell",
        &mut shell("echo one; sleep 0.1; echo port 80"),
        &folder.path().join("log"),
    )
    .unwrap();
    assert_eq!(process.wait_for_log("port").unwrap(), "port 80");
    let error = process.wait_for_log("socket").unwrap_err().to_string();
    let expected = "a shell ended with exit status: 0, without a line with `socket` from a shell; its output:\n\
                    one\nport 80";
    assert_eq!(error, expected);
}
