//! `mesh-policy compile`.

use crate::args::{Compile, Credentials, Engine, Listening, Sidecar};
use crate::failure::{Failure, USAGE, WARNING};
use crate::findings::count;
use crate::resources::{Resources, choice, options};
use crate::run::locate::{MODULE, modules};
use crate::run::publish;
use anstream::{eprintln, stdout};
use mesh_policy_compiler::{self as compiler, CompiledProxy, Modules, Options, xds};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// The file that Envoy is started with.
pub const CONFIGURATION: &str = "envoy.yaml";

/// Writes one proxy's Envoy configuration.
pub fn run(args: &Compile) -> Result<(), Failure> {
    let resources = Resources::load(&args.input, "compile")?;
    let choice = choice(&args.proxy, Some(&args.identity), "compile")?;
    let options = Options {
        engine: engine(args.engine, args.modules.as_deref())?,
        // The configuration may be meant for another machine: what is named need not be here.
        modules: match args.engine {
            Engine::Wasm => Modules::Fused(args.modules.clone().unwrap_or_else(found_modules).join(MODULE)),
            Engine::Native => Options::default().modules,
        },
        admin: Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), args.admin_port)),
        explain_denials: explain_denials(args.explain_denials, args.engine)?,
        locality: args.place.locality.as_ref().map(|locality| locality.0.clone()),
        ..sidecar(
            listening(
                credentials(
                    options(&args.proxy, &args.identity, Some(args.paths), &resources.sources),
                    &args.credentials,
                ),
                &args.listening,
            )?,
            &args.sidecar,
        )?
    };
    let compiled = mesh_policy_compiler::compile(&resources.sources, &choice, &options)
        .map_err(|refusal| resources.refuse(&refusal))?;
    resources.report(&compiled.warnings)?;
    let file = if args.xds {
        // Envoy watches absolute paths, whatever folder it is started in.
        let folder = std::path::absolute(&args.output).unwrap_or_else(|_| args.output.clone());
        publish::write_all(&xds::dynamic(&compiled.bootstrap, &folder), &args.output)?
    } else {
        write(&compiled, &args.output)?
    };
    let mut out = stdout().lock();
    writeln!(out, "wrote {}: {}", file.display(), count(compiled.listeners.len(), "listener"))?;
    for listener in &compiled.listeners {
        writeln!(out, "  {}:{}  {}", listener.address, listener.port, listener.hosts.join(", "))?;
    }
    writeln!(out, "start it: envoy --config-path {}", file.display())?;
    Ok(())
}

fn found_modules() -> PathBuf {
    modules(None).unwrap_or_else(|_| {
        eprintln!("{WARNING}warning:{WARNING:#} no modules here: the configuration names `dist/{MODULE}`");
        PathBuf::from("dist")
    })
}

/// The compiler's engine, which must have use for the folder with modules that was named.
pub fn engine(engine: Engine, modules: Option<&Path>) -> Result<compiler::Engine, Failure> {
    match (engine, modules) {
        (Engine::Wasm, _) => Ok(compiler::Engine::Wasm),
        (Engine::Native, None) => Ok(compiler::Engine::Native),
        (Engine::Native, Some(_)) => {
            Err(Failure::usage("--modules goes with --engine wasm: Envoy's own filters are no modules"))
        }
    }
}

/// Whether denials are explained, which Envoy's own filters cannot do.
pub fn explain_denials(asked: bool, engine: Engine) -> Result<bool, Failure> {
    if asked && engine == Engine::Native {
        return Err(Failure::usage(
            "--explain-denials goes with --engine wasm: Envoy's own filters do not tell clients why",
        ));
    }
    Ok(asked)
}

/// The compiler's options about certificates.
pub fn credentials(options: Options, credentials: &Credentials) -> Options {
    let Credentials { secrets, certs, sds, jwks_ca, gateway_service_account } = credentials;
    Options {
        secrets: secrets.clone(),
        certificates: certs.clone(),
        sds: sds.clone(),
        jwks_ca: jwks_ca.clone(),
        gateway_service_account: gateway_service_account.clone().unwrap_or(options.gateway_service_account),
        ..options
    }
}

/// The compiler's options about the ports of a sidecar.
pub fn sidecar(options: Options, sidecar: &Sidecar) -> Result<Options, Failure> {
    let mut app_ports = options.app_ports;
    for mapping in &sidecar.app_ports {
        if app_ports.insert(mapping.port, mapping.local).is_some() {
            return Err(Failure::usage(format!("--app-port maps port {} twice", mapping.port)));
        }
    }
    Ok(Options {
        app_ports,
        outbound_port: sidecar.outbound_port.unwrap_or(options.outbound_port),
        ..options
    })
}

/// The compiler's options about addresses and ports.
pub fn listening(options: Options, listening: &Listening) -> Result<Options, Failure> {
    let mut ports = options.ports;
    for mapping in &listening.port_mappings {
        if ports.insert(mapping.port, mapping.local).is_some() {
            return Err(Failure::usage(format!("--map-port maps port {} twice", mapping.port)));
        }
    }
    Ok(Options {
        ports,
        listen_address: listening.listen_address.unwrap_or(options.listen_address),
        ..options
    })
}

/// Writes the configuration in one step, so that no reader ever sees half of it.
pub fn write(compiled: &CompiledProxy, folder: &Path) -> Result<PathBuf, Failure> {
    let failure = |error: std::io::Error| {
        Failure::with_exit(USAGE, format!("cannot write to `{}`: {error}", folder.display()))
    };
    let path = folder.join(CONFIGURATION);
    publish::write(&path, &compiled.bootstrap).map_err(failure)?;
    Ok(path)
}
