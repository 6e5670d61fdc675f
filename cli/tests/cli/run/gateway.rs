//! `run` with a real Envoy: started, asked, stopped.

use crate::command::{command, fixtures};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// A running `mesh-policy run`.
struct Run {
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

impl Run {
    fn start(folder: &Path, port: u16) -> Self {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let module = repository.join("dist/mesh_policy.wasm");
        assert!(module.is_file(), "no module at `{}`: run `make wasm` first", module.display());
        let mut run = command(&["run", "--gateway", "istio=ingressgateway", "--concurrency", "1"]);
        run.arg("-f").arg(folder).args([
            "--listen-address",
            "127.0.0.1",
            "--map-port",
            &format!("80={port}"),
        ]);
        if let Some(envoy) = std::env::var_os("ENVOY") {
            run.env("ENVOY", envoy);
        }
        run.current_dir(repository);
        let mut child = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = lines(child.stdout.take().unwrap());
        let stderr = lines(child.stderr.take().unwrap());
        Self { child, stdout, stderr }
    }

    /// The lines up to the one that ends the announcement.
    fn announcement(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while lines.last().is_none_or(|line| line != "Ctrl-C stops it") {
            match self.stdout.recv_timeout(PATIENCE) {
                Ok(line) => lines.push(line),
                Err(error) => {
                    panic!("{error} after {lines:?}, and {:?}", self.stderr.try_iter().collect::<Vec<_>>())
                }
            }
        }
        lines
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn exit_code(&mut self) -> Option<i32> {
        let started = Instant::now();
        loop {
            match self.child.try_wait().unwrap() {
                Some(status) => return status.code(),
                None if started.elapsed() > PATIENCE => panic!("it does not stop"),
                None => thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // SIGTERM, and not SIGKILL, so that Envoy is stopped too.
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal(Signal::TERM);
            _ = self.child.wait();
        }
    }
}

fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// A service that answers every request with this body; it ends with the test's process.
fn upstream(body: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || answer(stream, body));
        }
    });
    port
}

fn answer(mut stream: TcpStream, body: &str) {
    let mut requests = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    while requests.read_line(&mut line).is_ok_and(|read| read > 0) {
        if line.trim().is_empty() {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            if stream.write_all(format!("{head}{body}").as_bytes()).is_err() {
                return;
            }
        }
        line.clear();
    }
}

/// Status and body of an answer.
fn get(address: SocketAddr, host: &str, user_agent: &str) -> (u16, String) {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head =
        format!("GET / HTTP/1.1\r\nhost: {host}\r\nuser-agent: {user_agent}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The guide's Firefox example, with upstreams of the test's own.
fn guide() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in ["gateway.yaml", "firefox.yaml", "services.yaml"] {
        let yaml = fs::read_to_string(fixtures().join("guide").join(file)).unwrap();
        let yaml = if file == "services.yaml" {
            assert!(yaml.contains("9001") && yaml.contains("9002"));
            yaml.replace("9001", &upstream("v1").to_string()).replace("9002", &upstream("v2").to_string())
        } else {
            yaml
        };
        fs::write(folder.path().join(file), yaml).unwrap();
    }
    folder
}

#[test]
fn a_gateway_obeys_the_resources_until_it_is_stopped() {
    let (folder, port) = (guide(), free_port());
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    for signal in [Signal::TERM, Signal::INT] {
        let mut run = Run::start(folder.path(), port);
        let announcement = run.announcement().join("\n");
        let line = format!(
            "  http://127.0.0.1:{port}/  port 80 of the Gateway, for dev.example.com, test.example.com"
        );
        assert!(announcement.contains(&line), "{announcement}");
        let tip = format!("try it: curl -H 'host: dev.example.com' http://127.0.0.1:{port}/");
        assert!(announcement.contains(&tip), "{announcement}");

        assert_eq!(get(address, "dev.example.com", "curl/8.5.0"), (200, "v1".to_owned()));
        assert_eq!(get(address, "dev.example.com", "Mozilla/5.0 Firefox/130.0"), (200, "v2".to_owned()));
        assert_eq!(get(address, "unknown.example.com", "curl/8.5.0").0, 404);

        run.signal(signal);
        assert_eq!(run.exit_code(), Some(0));
        // The port is free again: the next round needs it.
        TcpListener::bind(address).unwrap();
    }
}

#[test]
fn an_envoy_that_is_killed_ends_the_run_with_its_code() {
    let (folder, port) = (guide(), free_port());
    let mut run = Run::start(folder.path(), port);
    let announcement = run.announcement();
    let process = announcement[0].rsplit_once("process ").unwrap().1;
    kill_process(Pid::from_raw(process.parse().unwrap()).unwrap(), Signal::KILL).unwrap();
    assert_eq!(run.exit_code(), Some(137));
    let stderr: Vec<String> = run.stderr.iter().collect();
    assert!(
        stderr.iter().any(|line| line.starts_with("error: Envoy ended by itself: signal: 9 (SIGKILL)")),
        "{stderr:?}"
    );
}

/// What a killed process leaves behind would hold the ports until somebody finds it.
#[cfg(target_os = "linux")]
#[test]
fn a_run_that_is_killed_leaves_no_envoy_behind() {
    let (folder, port) = (guide(), free_port());
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut run = Run::start(folder.path(), port);
    run.announcement();
    assert!(TcpListener::bind(address).is_err());
    run.signal(Signal::KILL);
    assert_eq!(run.exit_code(), None);
    let started = Instant::now();
    while TcpListener::bind(address).is_err() {
        assert!(started.elapsed() < PATIENCE, "the port is still taken");
        thread::sleep(Duration::from_millis(10));
    }
}
