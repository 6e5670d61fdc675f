//! The running gateway follows its files.

use super::process::{Envoy, exit_code};
use super::publish::{Publisher, Refused};
use super::renewal::Renewal;
use super::signals::{Event, Signals};
use super::watch::{Edit, Watch};
use super::{claim, list_listeners, outbound, watched};
use crate::args::Run;
use crate::failure::{DIM, ERROR, Failure, GOOD};
use crate::resources::{Resources, in_mesh};
use anstream::{eprintln, stdout};
use mesh_policy_compiler::{CompiledListener, Finding, Options, ProxyChoice, identity};
use std::collections::BTreeSet;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::SystemTime;

/// A gateway in operation.
pub struct Gateway<'a> {
    pub args: &'a Run,
    pub choice: &'a ProxyChoice,
    pub options: &'a Options,
    /// What is in force, as it was read.
    pub resources: Resources,
    /// What was said about it.
    pub warnings: Vec<Finding>,
    pub watch: Watch,
    pub publisher: Publisher,
    /// The listeners in force.
    pub listeners: Vec<CompiledListener>,
    /// The files of certificates and keys in force.
    pub certificates: BTreeSet<PathBuf>,
    pub renewal: Renewal,
    /// The folder that Envoy watches.
    pub folder: &'a Path,
    pub admin: SocketAddr,
}

impl Gateway<'_> {
    /// Obeys every edit until somebody stops the run or Envoy ends.
    pub fn follow(mut self, mut child: Envoy, signals: &mut Signals) -> Result<(), Failure> {
        loop {
            match signals.next() {
                Some(Event::Stop) => {
                    eprintln!("{DIM}stopping Envoy{DIM:#}");
                    child.stop(|| signals.stop_asked());
                    return Ok(());
                }
                Some(Event::Child) => {
                    if let Some(status) = child.ended() {
                        let failure = super::ended(&mut child, status, "Envoy ended by itself");
                        return Err(failure.with_code(exit_code(status)));
                    }
                }
                None => {}
            }
            if let Err(failure) = self.renewal.tend() {
                failure.report();
            }
            if self.watch.is_due() {
                let (input, resources) = (&self.args.input, &self.resources);
                if let Some((read, edit)) = self.watch.read(|| resources.again(input)) {
                    let applied =
                        read.and_then(|resources| self.apply(resources, &edit, &mut child, signals));
                    if let Err(failure) = applied {
                        failure.report();
                        eprintln!(
                            "{ERROR}not applied{ERROR:#}: {}; what was in force before stays",
                            names(&edit)
                        );
                    }
                }
            }
            // A cluster too many does no harm; the next edit removes it.
            let interrupted = &mut || signals.stop_is_waiting() || child.ended().is_some();
            let _ = self.publisher.tidy(self.admin, interrupted);
            thread::sleep(self.watch.pause());
        }
    }

    fn apply(
        &mut self,
        resources: Resources,
        edit: &Edit,
        child: &mut Envoy,
        signals: &mut Signals,
    ) -> Result<(), Failure> {
        let began = SystemTime::now();
        // The mesh configuration may be what was edited.
        let args = self.args;
        let options = in_mesh(self.options.clone(), &args.identity, Some(args.paths), &resources.sources);
        let compiled = mesh_policy_compiler::compile(&resources.sources, self.choice, &options);
        // Also those that are missing now: once they are there the edit is tried again.
        let mut certificates = identity::named_files(&resources.sources, &options);
        certificates.extend(self.certificates.iter().cloned());
        certificates.extend(compiled.iter().flat_map(|compiled| compiled.certificates.iter().cloned()));
        self.watch.attend(certificates, began);
        let compiled = compiled.map_err(|refusal| resources.refuse(&refusal))?;
        // What was said already and still holds is not said again.
        if compiled.warnings != self.warnings {
            resources.report(&compiled.warnings)?;
        }
        let next = watched(&compiled, self.folder)?;
        if !self.publisher.can_become(&next) {
            return Err(Failure::environment("this edit changes what Envoy is started with")
                .help("end this run and start it anew"));
        }
        for listener in &compiled.listeners {
            let bound =
                |other: &CompiledListener| (&other.address, other.port) == (&listener.address, listener.port);
            if !self.listeners.iter().any(bound) {
                claim(listener)?;
            }
        }
        let interrupted = &mut || signals.stop_is_waiting() || child.ended().is_some();
        let published = self.publisher.publish(next, self.admin, interrupted);
        let changed = match published {
            Ok(changed) => changed,
            // The end of Envoy, or the wish for the end, is what the caller looks after.
            Err(Refused::Interrupted) => return Ok(()),
            Err(Refused::Failed(why)) => {
                // Nothing is wrong with the edit: a busy machine must not lose it.
                self.watch.again();
                return Err(Failure::environment(why).help("it is tried again"));
            }
            Err(Refused::Envoy(file)) => {
                return Err(Failure::environment(format!("Envoy refuses `{file}`")).help(
                    "its own words stand above; `mesh-policy compile --xds` writes the file, to look at it",
                ));
            }
        };
        self.resources = resources;
        self.certificates = compiled.certificates;
        self.warnings = compiled.warnings;
        let listeners_changed = self.listeners != compiled.listeners;
        self.listeners = compiled.listeners;
        // Whoever read no further is no reason to stop.
        let _ = self.announce(edit, changed, listeners_changed);
        Ok(())
    }

    fn announce(&self, edit: &Edit, changed: bool, listeners_changed: bool) -> std::io::Result<()> {
        let mut out = stdout().lock();
        if !changed {
            return writeln!(out, "{DIM}unchanged{DIM:#}: {}: the same for this proxy", names(edit));
        }
        let millis = edit.since.elapsed().as_millis();
        writeln!(out, "{GOOD}in force{GOOD:#}: {}, after {millis} ms", names(edit))?;
        if listeners_changed {
            let outbound = outbound(self.choice, self.options);
            list_listeners(self.admin, outbound, &self.listeners, &mut out)?;
        }
        out.flush()
    }
}

/// At most three names.
fn names(edit: &Edit) -> String {
    const SHOWN: usize = 3;
    let mut text: Vec<String> =
        edit.files.iter().take(SHOWN).map(|file| format!("`{}`", file.display())).collect();
    match edit.files.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => text.push(format!("{more} more")),
        _ => {}
    }
    if text.is_empty() { "the edit".to_owned() } else { text.join(", ") }
}
