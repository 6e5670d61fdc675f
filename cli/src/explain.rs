//! `mesh-policy explain`.

mod authz;
mod forward;
mod json;
mod path;
mod place;
mod request;
mod route;
mod text;

use crate::args::{Explain, Output};
use crate::failure::Failure;
use crate::resources::{Resources, choice, options};
use anstream::stdout;
use authz::Authorization;
use mesh_policy_compiler::{EnforcedListener, Instance, Options, ProxyChoice, Refusal, ext_authz, instances};
use mesh_policy_core::authz::{Authorizer, ExternalAuthorization};
use mesh_policy_core::effect::{LocalReply, SplitMix64};
use mesh_policy_core::proxy::ProxyContext;
use mesh_policy_core::request::{HeaderMap, RequestView};
use mesh_policy_core::route::RouteTable;
use mesh_policy_istio::problem::Problems;
use place::Places;
use request::Request;
use route::{Outcome, Routing};
use std::io::Write;

/// What happens to one request, and why.
#[derive(Debug)]
pub struct Explanation {
    pub request: Request,
    pub listener: Listener,
    pub authorization: Authorization,
    pub routing: Routing,
    pub seed: u64,
    /// The proxy is a workload's, not a gateway.
    pub sidecar: bool,
    /// The instances of the service that the request is sent to, as far as they are known.
    pub instances: Option<Vec<Instance>>,
}

/// The listener whose filters decide.
#[derive(Debug)]
pub struct Listener {
    pub name: String,
    pub port: Option<u16>,
    /// The request names another port, and this listener is the only one.
    pub assumed: bool,
}

impl Explanation {
    /// The answer that the proxy gives itself, if it does.
    pub fn local_reply(&self) -> Option<&LocalReply> {
        self.authorization.reply.as_ref().or(match &self.routing.outcome {
            Outcome::Unmanaged => None,
            Outcome::NotFound(reply) => Some(reply),
            Outcome::Matched(matched) => matched.fault.abort.as_ref().or(matched.local_reply.as_ref()),
        })
    }
}

/// Prints what would happen to a request.
pub fn run(args: &Explain) -> Result<(), Failure> {
    let (input, url) = split_url(args)?;
    let resources = Resources::load(&input, "explain")?;
    let choice = choice(&args.proxy, Some(&args.identity), "explain")?;
    let options = options(&args.proxy, &args.identity, Some(args.paths), &resources.sources);
    let request = Request::new(args, &url, options.path_normalization)?;
    let listeners = mesh_policy_compiler::enforced(&resources.sources, &choice, &options)
        .map_err(|refusal| resources.refuse(&refusal))?;
    let (enforced, listener) = pick(&listeners, &request, args.port.is_some(), &choice)?;

    let mut problems = Problems::new();
    let table = RouteTable::compile(&enforced.resources, &enforced.proxy, &mut problems);
    let authorizer = Authorizer::compile(&enforced.resources, &enforced.proxy, &mut problems);
    let before = Authorizer::compile(
        &enforced.resources,
        &ProxyContext {
            ext_authz: ExternalAuthorization::Before(ext_authz::provider_names(&resources.sources)),
            ..enforced.proxy.clone()
        },
        &mut Problems::new(),
    );
    if problems.has_errors() {
        return Err(resources.refuse(&Refusal { findings: resources.sources.findings_of(&problems) }));
    }

    let buffer = HeaderMap::write(&request.header_pairs());
    let headers = HeaderMap::parse(&buffer)
        .map_err(|error| Failure::usage(format!("the headers cannot be sent: {error}")))?;
    let view = RequestView::new(&headers, &request);
    let mut random = SplitMix64::new(args.seed);
    let places = Places(&resources.sources);
    let routing = Routing::of(&table, &view, &mut random, places);
    let locality = args.place.locality.as_ref().map(|locality| locality.0.clone());
    let options = Options { locality, ..options };
    let instances = routing.cluster().and_then(|name| instances(&resources.sources, &choice, &options, name));
    let explanation = Explanation {
        authorization: Authorization::of(&before, &authorizer, &view, places),
        routing,
        instances,
        listener,
        seed: args.seed,
        sidecar: matches!(choice, ProxyChoice::Workload(_)),
        request,
    };
    let mut out = stdout().lock();
    match args.output {
        Output::Text => text::write(&explanation, &mut out)?,
        Output::Json => writeln!(out, "{:#}", json::of(&explanation))?,
    }
    Ok(())
}

/// `-f` takes as many words as follow it, the URL too; a URL is never a file.
fn split_url(args: &Explain) -> Result<(crate::args::Input, String), Failure> {
    let mut files = args.input.files.clone();
    let url = match &args.url {
        Some(url) => url.clone(),
        None => {
            let is_url = |file: &std::path::PathBuf| {
                file.to_str().is_some_and(|text| text.starts_with("http://") || text.starts_with("https://"))
            };
            let taken = files.iter().position(is_url).map(|index| files.remove(index));
            taken.and_then(|url| url.into_os_string().into_string().ok()).ok_or_else(|| {
                Failure::usage("no URL: which request is to be explained?")
                    .help("mesh-policy explain -f policies/ --gateway istio=ingressgateway http://customers.example.com/")
            })?
        }
    };
    Ok((crate::args::Input { files, mesh_config: args.input.mesh_config.clone() }, url))
}

/// Of the servers of one port the one that a client gets by the server name in its TLS handshake.
fn by_server_name<'l>(
    servers: &[&'l EnforcedListener],
    request: &Request,
) -> Result<&'l EnforcedListener, Failure> {
    let hosts = |server: &EnforcedListener| -> Vec<String> {
        server.hosts().into_iter().map(|host| host.to_ascii_lowercase()).collect()
    };
    let name = request.server_name.as_deref().unwrap_or_default();
    // The exact name before a wildcard, a longer wildcard before a shorter one.
    let fit = |server: &EnforcedListener| {
        let matches = hosts(server).into_iter().filter_map(|host| match host.strip_prefix('*') {
            None => (host == name).then_some(usize::MAX),
            Some(tail) => name.ends_with(tail).then_some(tail.len()),
        });
        matches.max()
    };
    let best =
        servers.iter().copied().filter_map(|server| Some((fit(server)?, server))).max_by_key(|(fit, _)| *fit);
    best.map(|(_, server)| server).ok_or_else(|| {
        let served: Vec<String> = servers.iter().flat_map(|server| hosts(server)).collect();
        let what = match &request.server_name {
            Some(name) => format!(
                "no server of port {} takes the server name `{name}`: Envoy closes the connection",
                request.port
            ),
            None => {
                format!("several servers of port {} take TLS, and the URL is for plain HTTP", request.port)
            }
        };
        Failure::usage(what).help(format!("they serve {}", served.join(", ")))
    })
}

/// The listener that the request arrives at.
fn pick<'l>(
    listeners: &'l [EnforcedListener],
    request: &Request,
    told: bool,
    choice: &ProxyChoice,
) -> Result<(&'l EnforcedListener, Listener), Failure> {
    let chosen = |enforced: &'l EnforcedListener, assumed| {
        (enforced, Listener { name: enforced.name.clone(), port: enforced.port, assumed })
    };
    let fits = |listener: &&EnforcedListener| listener.port == Some(request.port);
    let fitting: Vec<&EnforcedListener> = listeners.iter().filter(fits).collect();
    let fit = match fitting.as_slice() {
        [] | [_] => fitting.first().copied(),
        several => Some(by_server_name(several, request)?),
    };
    match (fit, listeners) {
        (Some(enforced), _) => Ok(chosen(enforced, false)),
        // One that serves every port.
        (None, [enforced]) if enforced.port.is_none() => Ok(chosen(enforced, false)),
        // The URL may be the one that a mapped port is reached by.
        (None, [enforced]) if !told => Ok(chosen(enforced, true)),
        (None, []) => Err(Failure::usage(match choice {
            ProxyChoice::Gateway(_) => "no Gateway selects this proxy: it listens nowhere",
            ProxyChoice::Workload(_) => "this workload listens nowhere",
        })),
        (None, several) => {
            let ports: Vec<String> =
                several.iter().filter_map(|listener| Some(format!("`{}`", listener.port?))).collect();
            Err(Failure::usage(format!("the proxy does not listen on port `{}`", request.port))
                .help(format!("say which port the request arrives at by --port: {}", ports.join(", "))))
        }
    }
}
