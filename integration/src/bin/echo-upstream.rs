//! A service to stand behind a proxy: an echo server that runs until it is stopped.
//!
//! `echo-upstream NAME VERSION ADDRESS:PORT [CONTROL-ADDRESS:PORT]`: by the second port it tells what it received, and can be
//! made ill.

use std::{env, io::Write as _, net::SocketAddr, process::ExitCode};

use mesh_policy_integration::{Context, Error, Result, upstream::Upstream};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Without a standard error there is nobody to tell.
            _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    let (name, version, address, control) = match words.as_slice() {
        [name, version, address] => (name, version, address, None),
        [name, version, address, control] => (name, version, address, Some(control)),
        _ => return Err(Error::new("expected NAME VERSION ADDRESS:PORT [CONTROL-ADDRESS:PORT]")),
    };
    let read = |text: &String| {
        text.parse::<SocketAddr>().context(format_args!("expected an address and a port, found `{text}`"))
    };
    let mut builder = Upstream::builder(name).version(version).bind(read(address)?);
    // What the guide's rules for response headers take away and replace.
    for (header, value) in [("x-api-key", "secret"), ("cache-control", "public"), ("x-served-by", name)] {
        builder = builder.response_header(header, value);
    }
    if let Some(control) = control {
        builder = builder.control(read(control)?);
    }
    // Before it serves: the first process of a container gets no signal that it does not handle.
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("handling signals")?;
    let upstream = builder.start()?;
    writeln!(std::io::stdout(), "{name} {version} listens on {}", upstream.address())
        .context("standard output")?;
    // It ends with the first.
    signals.forever().next();
    Ok(())
}
