//! What every command begins with: the resources, and the proxy that is meant.

use crate::args::{self, Identity, Input, Paths, Proxy};
use crate::failure::Failure;
use crate::findings::{Counts, write_text};
use anstream::{eprintln, stderr};
use mesh_policy_compiler::source::STDIN;
use mesh_policy_compiler::{
    Finding, LoadError, Options, PathNormalization, ProxyChoice, Refusal, Sources, WorkloadChoice,
};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{Read, stdin};
use std::path::Path;

/// The resources, and the text of standard input where findings quote it.
pub struct Resources {
    pub sources: Sources,
    /// What came on standard input, which can be read once.
    standard_input: Vec<u8>,
    /// The lines of the files that findings have quoted so far.
    lines: RefCell<BTreeMap<String, Vec<String>>>,
}

impl Resources {
    /// Reads what `-f` names.
    pub fn load(input: &Input, command: &str) -> Result<Self, Failure> {
        if input.files.is_empty() {
            return Err(Failure::usage("no files: `-f` says where the Istio resources are")
                .help(format!(
                    "mesh-policy {command} -f policies/      all .yaml, .yml and .json files in a folder"
                ))
                .help(format!("mesh-policy {command} -f a.yaml b.json  some files"))
                .help(format!(
                    "mesh-policy {command} -f -              standard input, such as `kubectl get .. -o yaml`"
                )));
        }
        let mut standard_input = Vec::new();
        match input.files.iter().filter(|file| *file == Path::new("-")).count() {
            0 => {}
            1 => {
                stdin()
                    .read_to_end(&mut standard_input)
                    .map_err(|error| Failure::usage(format!("cannot read standard input: {error}")))?;
            }
            _ => return Err(Failure::usage("`-f -` is given twice, and there is one standard input")),
        }
        Self::read(input, standard_input)
    }

    /// Reads the files anew; standard input is what it was.
    pub fn again(&self, input: &Input) -> Result<Self, Failure> {
        Self::read(input, self.standard_input.clone())
    }

    fn read(input: &Input, standard_input: Vec<u8>) -> Result<Self, Failure> {
        let unreadable = |error: LoadError| Failure::usage(error.to_string());
        let mut sources = Sources::load(&input.files, &mut standard_input.as_slice()).map_err(unreadable)?;
        // A pipe that broke must not pass for resources without mistakes.
        if sources.resources().is_empty() && sources.findings().is_empty() {
            let names: Vec<String> = sources.file_names().map(|name| format!("`{name}`")).collect();
            return Err(Failure::usage(format!("no Istio resources in {}", names.join(", "))));
        }
        if let Some(file) = &input.mesh_config {
            sources.add_mesh_config(file).map_err(unreadable)?;
        }
        let quoted = lines(&String::from_utf8_lossy(&standard_input));
        let lines = RefCell::new(BTreeMap::from([(STDIN.to_owned(), quoted)]));
        Ok(Self { sources, standard_input, lines })
    }

    /// How many files were read.
    pub fn files(&self) -> usize {
        self.sources.file_names().count()
    }

    /// The text of a line, for the mark below it. A file that has changed since shows its new line.
    pub fn line(&self, file: &str, line: u32) -> Option<String> {
        let index = usize::try_from(line).ok()?.checked_sub(1)?;
        let mut read = self.lines.borrow_mut();
        let text = read
            .entry(file.to_owned())
            .or_insert_with(|| lines(&String::from_utf8_lossy(&std::fs::read(file).unwrap_or_default())));
        text.get(index).cloned()
    }

    /// Prints findings on standard error, with their count.
    pub fn report(&self, findings: &[Finding]) -> Result<(), Failure> {
        if findings.is_empty() {
            return Ok(());
        }
        write_text(findings, &|file, line| self.line(file, line), &mut stderr().lock())?;
        eprintln!("{}", Counts::of(findings, self.files()));
        Ok(())
    }

    /// Prints why nothing is done.
    pub fn refuse(&self, refusal: &Refusal) -> Failure {
        match self.report(&refusal.findings) {
            Ok(()) => Failure::refused(),
            Err(failure) => failure,
        }
    }
}

fn lines(text: &str) -> Vec<String> {
    text.strip_prefix('\u{feff}').unwrap_or(text).lines().map(str::to_owned).collect()
}

/// The proxy that the command line names.
pub fn choice(proxy: &Proxy, identity: Option<&Identity>, command: &str) -> Result<ProxyChoice, Failure> {
    let labels = identity.and_then(|identity| identity.labels.as_ref());
    let service_account = identity.and_then(|identity| identity.service_account.clone());
    match (&proxy.gateway, &proxy.workload) {
        (Some(gateway), None) => {
            if service_account.is_some() {
                return Err(Failure::usage(
                    "--service-account goes with --workload: nothing asks for a gateway's",
                ));
            }
            let mut all = gateway.0.clone();
            all.extend(labels.into_iter().flat_map(|labels| labels.0.clone()));
            Ok(ProxyChoice::Gateway(all))
        }
        (None, Some(workload)) => Ok(ProxyChoice::Workload(WorkloadChoice {
            namespace: workload.namespace.clone(),
            name: workload.name.clone(),
            labels: labels.map(|labels| labels.0.clone()),
            service_account,
            port: None,
        })),
        _ => Err(Failure::usage("no proxy: the same resources mean different things for each")
            .help(format!(
                "mesh-policy {command} .. --gateway istio=ingressgateway  the gateway with these labels"
            ))
            .help(format!(
                "mesh-policy {command} .. --workload my-app/backend       the sidecar of a workload"
            ))),
    }
}

/// The compiler's options, as far as the proxy's identity and the mesh configuration decide them.
pub fn options(proxy: &Proxy, identity: &Identity, paths: Option<Paths>, sources: &Sources) -> Options {
    let default = Options::default();
    let options = Options {
        gateway_namespace: proxy.gateway_namespace.clone().unwrap_or(default.gateway_namespace),
        ..default
    };
    in_mesh(options, identity, paths, sources)
}

/// The same options in the mesh of `sources`. What the command line says goes before what the mesh configuration says.
pub fn in_mesh(options: Options, identity: &Identity, paths: Option<Paths>, sources: &Sources) -> Options {
    let default = Options::default();
    let options = Options {
        trust_domain: default.trust_domain,
        trust_domain_aliases: default.trust_domain_aliases,
        root_namespace: default.root_namespace,
        path_normalization: default.path_normalization,
        ..options
    };
    let options = options.under_mesh_config(sources);
    let aliases = &identity.trust_domain_aliases;
    Options {
        trust_domain: identity.trust_domain.clone().unwrap_or(options.trust_domain),
        trust_domain_aliases: if aliases.is_empty() { options.trust_domain_aliases } else { aliases.clone() },
        path_normalization: normalization(paths, options.path_normalization),
        ..options
    }
}

/// The path normalization that the command line names, else `default`.
pub fn normalization(paths: Option<Paths>, default: PathNormalization) -> PathNormalization {
    use args::PathNormalization as Named;
    match paths.and_then(|paths| paths.path_normalization) {
        None => default,
        Some(Named::None) => PathNormalization::None,
        Some(Named::Base) => PathNormalization::Base,
        Some(Named::MergeSlashes) => PathNormalization::MergeSlashes,
        Some(Named::DecodeAndMergeSlashes) => PathNormalization::DecodeAndMergeSlashes,
    }
}
