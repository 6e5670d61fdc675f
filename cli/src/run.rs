//! `mesh-policy run`.

pub mod admin;
mod follow;
pub mod locate;
pub mod process;
pub mod publish;
mod renewal;
pub mod signals;
pub mod tether;
mod watch;

use crate::args::{Engine, Run};
use crate::compile::{credentials, engine, explain_denials, listening, sidecar, write};
use crate::failure::{BOLD, DIM, Failure, GOOD, HELP, WARNING};
use crate::resources::{Resources, choice, options};
use anstream::{eprintln, stdout};
use follow::Gateway;
use mesh_policy_compiler::{
    AccessLog, CompiledListener, CompiledProxy, Modules, Options, ProxyChoice, SdsAddress, identity, xds,
};
use process::{Envoy, TICK, run_to_end};
use publish::Publisher;
use renewal::Renewal;
use signals::Signals;
use std::fs::Permissions;
use std::io::{self, ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};
use watch::Watch;

/// How long Envoy may take to load a module and open its ports, also on a slow machine.
const START: Duration = Duration::from_secs(60);

/// How long a request on a listener that was edited may take to end.
const DRAIN_SECONDS: &str = "30";

/// Runs a gateway until somebody stops it.
pub fn run(args: &Run) -> Result<(), Failure> {
    // Before the files are read: an edit in between is then one that came later.
    let began = SystemTime::now();
    let inputs: Vec<_> = args.input.files.iter().chain(&args.input.mesh_config).cloned().collect();
    let mut watch = Watch::start(&inputs);
    let resources = Resources::load(&args.input, "run")?;
    let choice = choice(&args.proxy, Some(&args.identity), "run")?;
    let engine = engine(args.engine, args.modules.as_deref())?;
    let options = options(&args.proxy, &args.identity, Some(args.paths), &resources.sources);
    let options = credentials(options, &args.credentials);
    let options = sidecar(listening(options, &args.listening)?, &args.sidecar)?;
    let explain_denials = explain_denials(args.explain_denials, args.engine)?;
    let locality = args.place.locality.as_ref().map(|locality| locality.0.clone());
    let options = Options { engine, explain_denials, locality, ..options };
    // What is wrong with the resources is told first: it does not depend on this machine.
    let findings: Vec<_> = mesh_policy_compiler::check_under(&resources.sources, options.path_normalization);
    if findings.iter().any(mesh_policy_compiler::Finding::is_error) {
        resources.report(&findings)?;
        return Err(Failure::refused());
    }
    let modules = locate::modules(args.modules.as_deref());
    let options = Options {
        modules: Modules::Fused(modules.as_deref().unwrap_or(Path::new("dist")).join(locate::MODULE)),
        admin: Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), args.admin_port)),
        access_log: if args.access_log { AccessLog::Stdout } else { AccessLog::Off },
        ..options
    };
    let own = identity::own(&resources.sources, &choice, &options);
    let mut renewal = Renewal::new(&options, own);
    // A certificate of yesterday must not keep a proxy of today from starting. What is wrong with it, the compiler says.
    let _ = renewal.tend();
    let compiled = mesh_policy_compiler::compile(&resources.sources, &choice, &options)
        .map_err(|refusal| resources.refuse(&refusal))?;
    resources.report(&compiled.warnings)?;
    let mut certificates = identity::named_files(&resources.sources, &options);
    certificates.extend(compiled.certificates.iter().cloned());
    watch.attend(certificates, began);
    if args.engine == Engine::Wasm {
        modules?;
    }
    let envoy = locate::envoy(args.envoy.as_deref())?;
    if let Some(server) = &options.sds {
        reach(server)?;
    }
    for listener in &compiled.listeners {
        claim(listener)?;
    }
    if args.admin_port != 0 {
        bind(IpAddr::V4(Ipv4Addr::LOCALHOST), args.admin_port).map_err(|error| {
            taken(&format!("the admin port {}", args.admin_port), "127.0.0.1", &error)
                .help("choose another by --admin-port, or 0 for any free one")
        })?;
    }

    // From here on Ctrl-C ends this function, not the process: the folder and Envoy are cleaned up.
    let mut signals = Signals::install()?;
    let folder = private_folder()?;
    validate(&envoy.path, &write(&compiled, folder.path())?)?;
    let (publisher, file) = Publisher::start(folder.path(), watched(&compiled, folder.path())?)?;
    let admin_file = folder.path().join("admin-address");
    let mut command = configured(tether::command(&envoy.path), &file, &args.log_level);
    command.arg("--admin-address-path").arg(&admin_file);
    if let Some(concurrency) = args.concurrency {
        command.args(["--concurrency", &concurrency.to_string()]);
    }
    command.stdout(if args.access_log { Stdio::inherit() } else { Stdio::null() });
    let mut child = Envoy::start(&mut command)?;
    let Some(admin) = wait_until_ready(&mut child, &admin_file, &mut signals)? else {
        child.stop(|| signals.stop_asked());
        return Ok(());
    };
    if options.sds.is_some() {
        report_missing_secrets(admin);
    }
    // Whoever read this far and left is no reason to stop.
    let outbound = outbound(&choice, &options);
    let _ = announce(&envoy.version, child.id(), admin, outbound, &compiled.listeners);
    let gateway = Gateway {
        args,
        choice: &choice,
        options: &options,
        resources,
        warnings: compiled.warnings,
        watch,
        publisher,
        listeners: compiled.listeners,
        certificates: compiled.certificates,
        renewal,
        folder: folder.path(),
        admin,
    };
    gateway.follow(child, &mut signals)
}

/// Makes sure that the server of certificates is there: Envoy would wait for it, and then refuse every connection.
fn reach(server: &SdsAddress) -> Result<(), Failure> {
    let (place, reached) = match server {
        SdsAddress::Socket(path) => (path.display().to_string(), UnixStream::connect(path).map(drop)),
        SdsAddress::Loopback(address) => (address.to_string(), TcpStream::connect(address).map(drop)),
    };
    reached.map_err(|error| {
        Failure::environment(format!("nobody gives out certificates at `{place}`: {error}"))
            .help("start SPIRE's agent, and let this user open its socket")
    })
}

/// Says which secrets Envoy asked for in vain. It does not wait for them any longer, but what needs them is refused.
fn report_missing_secrets(admin: SocketAddr) {
    const WAITED: &str = ".init_fetch_timeout";
    let stats = admin::stats(admin, r"^sds\..*\.init_fetch_timeout$").unwrap_or_default();
    for (name, _) in stats.iter().filter(|(_, count)| *count != "0") {
        let name = name.trim_start_matches("sds.").trim_end_matches(WAITED);
        // Names of statistics have no `://`.
        let name = name.strip_prefix("spiffe_").map_or(name.to_owned(), |rest| format!("spiffe://{rest}"));
        eprintln!(
            "{WARNING}warning:{WARNING:#} nothing came for `{name}`: connections that need it are refused until it does"
        );
        eprintln!(
            "  {HELP}help:{HELP:#} the server of certificates has to know this identity, and that this process may have it"
        );
    }
}

/// A folder that nobody else can look into, whatever the umask.
fn private_folder() -> Result<tempfile::TempDir, Failure> {
    tempfile::Builder::new()
        .prefix("mesh-policy-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir()
        .map_err(|error| Failure::environment(format!("cannot create a temporary folder: {error}")))
}

/// The files that Envoy watches. The folder is for its owner alone: keys are in it.
fn watched(compiled: &CompiledProxy, folder: &Path) -> Result<xds::Dynamic, Failure> {
    let mut dynamic = xds::dynamic(&compiled.bootstrap, folder);
    dynamic.hold_secrets().map_err(Failure::environment)?;
    Ok(dynamic)
}

fn configured(mut command: Command, file: &Path, log_level: &str) -> Command {
    command.arg("--config-path").arg(file);
    command.args(["--log-level", log_level, "--log-format", "%l %n: %v"]);
    // Without: a second Envoy on this machine would be taken for a predecessor.
    command.arg("--disable-hot-restart");
    // After an edit of a listener, connections of before meet the old policy until they end: soon, but not in the middle of a
    // request that takes its time.
    command.args(["--drain-strategy", "immediate", "--drain-time-s", DRAIN_SECONDS]);
    command
}

/// Lets Envoy judge the configuration before anything is started: its filters refuse what they cannot enforce.
fn validate(envoy: &Path, file: &Path) -> Result<(), Failure> {
    let mut command = configured(Command::new(envoy), file, "warning");
    command.args(["--mode", "validate"]);
    let (status, log) = run_to_end(&mut command, START)?;
    if status.success() {
        return Ok(());
    }
    for line in log.lines() {
        eprintln!("{DIM}envoy:{DIM:#} {line}");
    }
    Err(Failure::environment(format!("Envoy refuses the compiled configuration ({status})"))
        .help("`mesh-policy compile` writes it to a folder of yours, to look at it"))
}

/// The admin interface of an Envoy that is ready; `None` when somebody asked for the end before.
fn wait_until_ready(
    child: &mut Envoy,
    admin_file: &Path,
    signals: &mut Signals,
) -> Result<Option<SocketAddr>, Failure> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.ended() {
            return Err(ended(child, status, "Envoy does not start"));
        }
        if signals.stop_asked() {
            return Ok(None);
        }
        if let Some(admin) = admin::address(admin_file).filter(|admin| admin::is_ready(*admin)) {
            return Ok(Some(admin));
        }
        if started.elapsed() > START {
            let seconds = START.as_secs();
            return Err(Failure::environment(format!("Envoy is not ready after {seconds} seconds")));
        }
        thread::sleep(TICK);
    }
}

fn ended(child: &mut Envoy, status: std::process::ExitStatus, what: &str) -> Failure {
    let failure = Failure::environment(format!("{what}: {status}; its last lines:"));
    let lines = child.last_lines();
    if lines.is_empty() {
        return Failure::environment(format!("{what}: {status}; it logged nothing"))
            .help("--log-level info shows more");
    }
    lines.into_iter().fold(failure, Failure::quote)
}

/// Makes sure that a listener's port is free. Envoy would share it with another Envoy without a word (`SO_REUSEPORT`).
fn claim(listener: &CompiledListener) -> Result<(), Failure> {
    let Ok(address) = listener.address.parse::<IpAddr>() else { return Ok(()) };
    if listener.port == 0 {
        return Ok(());
    }
    bind(address, listener.port).map_err(|error| {
        taken(&format!("port {}", listener.port), &listener.address, &error).help(format!(
            "listen on another one by --map-port {}={}",
            listener.gateway_port,
            suggested(listener.gateway_port)
        ))
    })
}

fn bind(address: IpAddr, port: u16) -> io::Result<()> {
    TcpListener::bind(SocketAddr::new(address, port)).map(drop)
}

fn taken(port: &str, address: &str, error: &io::Error) -> Failure {
    Failure::environment(match error.kind() {
        ErrorKind::AddrInUse => format!("{port} on {address} is taken by another program"),
        ErrorKind::PermissionDenied => format!("{port} on {address} may only be opened by root"),
        _ => format!("{port} on {address} cannot be opened: {error}"),
    })
}

/// A port that anybody may open: 80 becomes 18080, 443 becomes 18443.
fn suggested(port: u16) -> u16 {
    match port {
        80 => 18080,
        443 => 18443,
        port => 10_000_u16.checked_add(port).unwrap_or(port.saturating_sub(1)),
    }
}

/// Where a sidecar takes what its application sends; nothing for a gateway.
fn outbound(choice: &ProxyChoice, options: &Options) -> Option<u16> {
    matches!(choice, ProxyChoice::Workload(_)).then_some(options.outbound_port)
}

fn announce(
    version: &str,
    id: u32,
    admin: SocketAddr,
    outbound: Option<u16>,
    listeners: &[CompiledListener],
) -> io::Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{GOOD}ready{GOOD:#}: Envoy {version}, process {id}")?;
    let example = list_listeners(admin, outbound, listeners, &mut out)?;
    writeln!(out, "  {BOLD}http://{admin}/{BOLD:#}  Envoy's admin interface")?;
    match example {
        Some((url, Some(host))) => writeln!(out, "try it: curl -H 'host: {host}' {url}")?,
        Some((url, None)) => writeln!(out, "try it: curl {url}")?,
        None => {}
    }
    writeln!(out, "edits of the files come into force as they are saved")?;
    writeln!(out, "Ctrl-C stops it")?;
    out.flush()
}

/// Prints where each listener is reached, and gives an address with a host to try.
fn list_listeners(
    admin: SocketAddr,
    outbound: Option<u16>,
    listeners: &[CompiledListener],
    out: &mut impl Write,
) -> io::Result<Option<(String, Option<String>)>> {
    let bound = admin::listeners(admin);
    let mut example = None;
    for listener in listeners {
        // The kernel may have chosen the port.
        let at = bound.iter().find(|(name, _)| *name == listener.name).map(|(_, address)| *address);
        let port = at.map_or(listener.port, |at| at.port());
        let urls = if listener.urls.is_empty() {
            let host = at.map(|at| at.ip()).filter(|ip| !ip.is_unspecified());
            let host = host.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
            vec![format!("{}://{}/", listener.scheme, SocketAddr::new(host, port))]
        } else {
            listener.urls.clone()
        };
        for url in &urls {
            let (number, hosts) = (listener.gateway_port, listener.hosts.join(", "));
            let purpose = match outbound {
                None => format!("port {number} of the Gateway, for {hosts}"),
                Some(port) if port == listener.port => format!("for the application's requests, to {hosts}"),
                Some(_) => format!("port {number} of the workload, for {hosts}"),
            };
            writeln!(out, "  {BOLD}{url}{BOLD:#}  {purpose}")?;
        }
        // Who may call a workload is for its policies to say; its own application may always try.
        if outbound.is_some_and(|port| port != listener.port) {
            continue;
        }
        let host = listener.hosts.iter().find(|host| !host.starts_with('*'));
        example = example.or_else(|| Some((urls.first()?.clone(), host.cloned())));
    }
    Ok(example)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(port: u16) -> CompiledListener {
        CompiledListener {
            name: "127.0.0.1_80".to_owned(),
            address: "127.0.0.1".to_owned(),
            port,
            gateway_port: 80,
            hosts: vec!["a.com".to_owned()],
            scheme: "http",
            urls: Vec::new(),
        }
    }

    #[test]
    fn the_folder_with_keys_is_for_its_owner_alone() {
        let folder = private_folder().unwrap();
        let mode = std::fs::metadata(folder.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn a_port_that_is_taken_is_said_so_with_a_way_out() {
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = other.local_addr().unwrap().port();
        let expected = Failure::environment(format!("port {port} on 127.0.0.1 is taken by another program"))
            .help("listen on another one by --map-port 80=18080");
        assert_eq!(claim(&listener(port)), Err(expected));
        drop(other);
        assert_eq!(claim(&listener(port)), Ok(()));
        assert_eq!(claim(&listener(0)), Ok(()));
    }
}
