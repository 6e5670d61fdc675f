//! `run`: with an Envoy of the test's making, and with a real one.

mod gateway;
mod stand_in;

use crate::command::{Ended, command, ended, failed, fixtures, mesh_policy};

#[test]
fn resources_with_mistakes_are_refused_before_anything_is_looked_for() {
    let ended =
        mesh_policy(&["run", "-f", "guide", "misplaced-field.yaml", "--gateway", "istio=ingressgateway"]);
    let expected = "\
misplaced-field.yaml:12:9: error[unknown-reference]: VirtualService shop/customers: \
spec.http[0].route[0].destination.host: no ServiceEntry defines the host `customers.shop.svc.cluster.local`
  12 |         host: customers
     |         ^^^^
misplaced-field.yaml:13:7: error[misplaced-field]: VirtualService shop/customers: \
spec.http[0].route[0].timeout: unknown field; it belongs in spec.http[0].timeout
  13 |       timeout: 5s
     |       ^^^^^^^
2 errors in 4 files
";
    assert_eq!(ended, failed(1, expected));
}

#[test]
fn missing_modules_are_named_with_the_way_to_build_them() {
    let run = ["run", "-f", "guide", "--gateway", "istio=ingressgateway", "--modules", "/nonexistent"];
    let expected = "\
error: no `mesh_policy.wasm` in `/nonexistent`, which --modules names
  help: `make wasm` in the repository builds the modules into its `dist` folder
";
    assert_eq!(mesh_policy(&run), failed(3, expected));
}

#[test]
fn a_missing_envoy_is_named_with_the_way_to_get_one() {
    let modules = stand_in::modules();
    let elsewhere = tempfile::tempdir().unwrap();
    let guide = fixtures().join("guide");
    let words = ["run", "--gateway", "istio=ingressgateway", "-f"];
    // Copied out of the repository, the program finds none by itself.
    let program = elsewhere.path().join("mesh-policy");
    // By a program of its own: one that this process has open for writing could not be started.
    let copy = std::process::Command::new("cp")
        .arg(env!("CARGO_BIN_EXE_mesh-policy"))
        .arg(&program)
        .status()
        .unwrap();
    assert!(copy.success());
    let run = || {
        let mut run = std::process::Command::new(&program);
        run.args(words).arg(&guide).arg("--modules").arg(modules.path());
        run.current_dir(elsewhere.path()).env_remove("ENVOY").env("PATH", elsewhere.path());
        run
    };
    let expected = "\
error: no Envoy: $ENVOY is not set, and there is none in `.tools/bin` or on PATH
  help: `make setup` in the repository fetches one; or take a release from
        https://github.com/envoyproxy/envoy/releases and name it by --envoy PATH
";
    assert_eq!(ended(&mut run()), failed(3, expected));
    let expected = "error: $ENVOY is `/nonexistent/envoy`, which is not a program\n";
    assert_eq!(ended(run().env("ENVOY", "/nonexistent/envoy")), failed(3, expected));
}

#[test]
fn an_envoy_for_another_machine_says_so() {
    let modules = stand_in::modules();
    let mut run = stand_in::run("echo 'cannot execute binary file' >&2; exit 126", &modules, 0);
    let expected = format!(
        "error: `{}` does not run: `--version` ends with exit status: 126 and says: cannot execute binary file\n  \
         help: name an Envoy built for this machine by --envoy PATH\n",
        stand_in::path().display()
    );
    assert_eq!(ended(&mut run), failed(3, &expected));
}

#[test]
fn a_taken_port_is_one_clear_message() {
    let modules = stand_in::modules();
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    let expected = format!(
        "error: port {port} on 127.0.0.1 is taken by another program\n  \
         help: listen on another one by --map-port 80=18080\n"
    );
    assert_eq!(ended(&mut stand_in::run(stand_in::VERSION, &modules, port)), failed(3, &expected));
}

#[test]
fn what_envoy_refuses_is_shown() {
    let modules = stand_in::modules();
    let script = format!("{}\n{}", stand_in::VERSION, "echo 'error main: no such cluster' >&2; exit 1");
    let expected = "\
envoy: error main: no such cluster
error: Envoy refuses the compiled configuration (exit status: 1)
  help: `mesh-policy compile` writes it to a folder of yours, to look at it
";
    assert_eq!(ended(&mut stand_in::run(&script, &modules, 0)), failed(3, expected));
}

#[test]
fn an_envoy_that_does_not_start_leaves_its_last_lines() {
    let modules = stand_in::modules();
    let script =
        format!("{}\n{}\n{}", stand_in::VERSION, stand_in::VALID, "echo 'critical: no memory' >&2; exit 9");
    let expected = "\
envoy: critical: no memory
error: Envoy does not start: exit status: 9; its last lines:
  critical: no memory
";
    assert_eq!(ended(&mut stand_in::run(&script, &modules, 0)), failed(3, expected));
}

#[test]
fn one_port_is_mapped_once() {
    let words = ["run", "-f", "guide", "--gateway", "a=b", "--map-port", "80=1", "--map-port", "80=2"];
    assert_eq!(mesh_policy(&words), failed(2, "error: --map-port maps port 80 twice\n"));
    let Ended { code, stderr, .. } = ended(&mut command(&["run", "--map-port", "80"]));
    let expected = "\
error: invalid value '80' for '--map-port <PORT=LOCAL>': expected the Gateway's port and the one to listen on, such as \
`80=18080`, found `80`

For more information, try '--help'.
";
    assert_eq!((code, stderr.as_str()), (Some(2), expected));
}
