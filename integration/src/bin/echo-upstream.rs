//! A service to stand behind a proxy: an echo server that runs until it is stopped.
//!
//! `echo-upstream NAME VERSION ADDRESS:PORT`

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
    let [name, version, address] = words.as_slice() else {
        return Err(Error::new("expected NAME VERSION ADDRESS:PORT"));
    };
    let address: SocketAddr =
        address.parse().context(format_args!("expected an address and a port, found `{address}`"))?;
    // Before it serves: the first process of a container gets no signal that it does not handle.
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("handling signals")?;
    let upstream = Upstream::builder(name).version(version).bind(address).start()?;
    writeln!(std::io::stdout(), "{name} {version} listens on {}", upstream.address())
        .context("standard output")?;
    while signals.wait().next().is_none() {
        upstream.clear();
    }
    Ok(())
}
