//! What a running Envoy is told: files moved into place, and Envoy's word on each.

use super::admin;
use crate::failure::{Failure, USAGE};
use mesh_policy_compiler::xds::{self, CLUSTERS, Dynamic, LISTENERS, Step};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// How long Envoy may take to read a file. On a machine that is busy otherwise it stands still for seconds; giving up means that
/// the edit is undone and tried again, which takes longer than to wait.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long new clusters and listeners may take to come into use. A name that DNS does not answer for must not hold up the
/// rest of an edit.
const WARMING: Duration = Duration::from_secs(2);

/// How often Envoy is asked.
const BETWEEN: Duration = Duration::from_millis(4);

/// How long clusters stay that no rule names any more: for requests that are delayed or tried again.
const LINGER: Duration = Duration::from_secs(30);

/// The folder that an Envoy watches, and what is in it.
#[derive(Debug)]
pub struct Publisher {
    folder: PathBuf,
    version: u64,
    /// What Envoy has.
    has: Dynamic,
    /// What it shall have, and when, once clusters are no longer waited for.
    later: Option<(Instant, Dynamic)>,
}

/// Why a generation did not come into force.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// Envoy refuses this file; the generation before is in force.
    Envoy(String),
    /// Envoy did not answer, or a file could not be written.
    Failed(String),
    /// The run is to end.
    Interrupted,
}

impl Publisher {
    /// Fills the folder, for an Envoy to be started with the file that is given back.
    pub fn start(folder: &Path, first: Dynamic) -> Result<(Self, PathBuf), Failure> {
        let bootstrap = write_all(&first, folder)?;
        let publisher = Self { folder: folder.to_owned(), version: 1, has: first, later: None };
        Ok((publisher, bootstrap))
    }

    /// Whether a generation can be had without starting Envoy anew.
    pub fn can_become(&self, next: &Dynamic) -> bool {
        self.has.bootstrap == next.bootstrap
    }

    /// Brings a generation into force; says whether that changed anything.
    pub fn publish(
        &mut self,
        next: Dynamic,
        admin: SocketAddr,
        interrupted: &mut dyn FnMut() -> bool,
    ) -> Result<bool, Refused> {
        let before = self.has.clone();
        let wanted = xds::keeping(&before, &next);
        let changed = before != wanted;
        match self.carry_out(&wanted, admin, interrupted) {
            Ok(()) => {}
            Err(Refused::Interrupted) => return Err(Refused::Interrupted),
            Err(refused) => {
                // Nothing half-done stays in force.
                return Err(match (self.carry_out(&before, admin, interrupted), refused) {
                    (Err(Refused::Interrupted), _) => Refused::Interrupted,
                    (Err(Refused::Failed(why)), Refused::Envoy(first) | Refused::Failed(first)) => {
                        Refused::Failed(format!(
                            "{first}; what was in force before cannot be restored: {why}"
                        ))
                    }
                    // What Envoy refuses even as it was (a module that is gone, say), it goes on using as it was.
                    (Ok(()) | Err(_), refused) => refused,
                });
            }
        }
        self.later = (wanted != next).then(|| (Instant::now() + LINGER, next));
        Ok(changed)
    }

    /// Removes clusters that were kept for requests on their way, when it is time.
    pub fn tidy(&mut self, admin: SocketAddr, interrupted: &mut dyn FnMut() -> bool) -> Result<(), Refused> {
        match self.later.take() {
            Some((when, next)) if when <= Instant::now() => self.carry_out(&next, admin, interrupted),
            later => {
                self.later = later;
                Ok(())
            }
        }
    }

    fn carry_out(
        &mut self,
        next: &Dynamic,
        admin: SocketAddr,
        interrupted: &mut dyn FnMut() -> bool,
    ) -> Result<(), Refused> {
        for step in xds::steps(&self.has, next) {
            self.take(&step, admin, interrupted)?;
        }
        for name in xds::unused(&self.has, next) {
            // What cannot be removed does no harm: nothing names it.
            let _ = fs::remove_file(self.folder.join(name));
        }
        self.has.files.retain(|name, _| next.files.contains_key(name));
        Ok(())
    }

    fn take(
        &mut self,
        step: &Step,
        admin: SocketAddr,
        interrupted: &mut dyn FnMut() -> bool,
    ) -> Result<(), Refused> {
        let watched: BTreeMap<&str, &str> = step
            .watched
            .iter()
            .filter_map(|name| Some((name.as_str(), step.files.get(name)?.subscription.as_str())))
            .collect();
        let before = patiently(interrupted, || Ok(Answers::ask(admin, &watched)))?;
        self.version += 1;
        let version = self.version.to_string();
        for (name, file) in &step.files {
            write(&self.folder.join(name), &file.response(&version))
                .map_err(|error| Refused::Failed(format!("cannot write `{name}`: {error}")))?;
            self.has.files.insert(name.clone(), file.clone());
        }
        let begun = Instant::now();
        patiently(interrupted, || {
            let Some(answers) = Answers::ask(admin, &watched) else { return Ok(None) };
            if let Some(name) = answers.refused_since(&before) {
                return Err(Refused::Envoy(name.to_owned()));
            }
            let has_read = watched.keys().all(|name| answers.versions.get(*name) == Some(&version));
            Ok((has_read && (answers.warming == 0 || begun.elapsed() > WARMING)).then_some(()))
        })
    }
}

/// Asks until there is an answer, as long as Envoy may take for one.
fn patiently<T>(
    interrupted: &mut dyn FnMut() -> bool,
    ask: impl Fn() -> Result<Option<T>, Refused>,
) -> Result<T, Refused> {
    let begun = Instant::now();
    loop {
        if interrupted() {
            return Err(Refused::Interrupted);
        }
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if begun.elapsed() > PATIENCE {
            return Err(silent());
        }
        thread::sleep(BETWEEN);
    }
}

fn silent() -> Refused {
    Refused::Failed(format!("Envoy does not say within {} seconds what it makes of it", PATIENCE.as_secs()))
}

/// What Envoy says of the files it watches.
#[derive(Debug, Default)]
struct Answers {
    /// The version that is in force.
    versions: BTreeMap<String, String>,
    /// How often it refused one.
    refusals: BTreeMap<String, u64>,
    /// How many clusters and listeners are not in use yet.
    warming: u64,
}

impl Answers {
    fn ask(admin: SocketAddr, watched: &BTreeMap<&str, &str>) -> Option<Self> {
        let mut answers = Self::default();
        if watched.is_empty() {
            return Some(answers);
        }
        let subscriptions: Vec<String> = watched.values().map(|name| escaped(name)).collect();
        let names = format!(
            "^(({})\\.(version_text|update_rejected)|cluster_manager\\.warming_clusters|listener_manager\\.total_listeners_warming)$",
            subscriptions.join("|")
        );
        let stats = admin::stats(admin, &names)?;
        for (name, subscription) in watched {
            if let Some(version) = stats.get(&format!("{subscription}.version_text")) {
                answers.versions.insert((*name).to_owned(), version.clone());
            }
            let refusals = stats.get(&format!("{subscription}.update_rejected"));
            let refusals = refusals.and_then(|count| count.parse().ok()).unwrap_or(0);
            answers.refusals.insert((*name).to_owned(), refusals);
        }
        let warming = [
            (CLUSTERS, "cluster_manager.warming_clusters"),
            (LISTENERS, "listener_manager.total_listeners_warming"),
        ];
        for (_, stat) in warming.iter().filter(|(file, _)| watched.contains_key(file)) {
            answers.warming += stats.get(*stat).and_then(|count| count.parse().ok()).unwrap_or(0);
        }
        Some(answers)
    }

    fn refused_since<'a>(&'a self, before: &Self) -> Option<&'a str> {
        let more = |name: &str, count: u64| count > before.refusals.get(name).copied().unwrap_or(0);
        self.refusals.iter().find(|(name, count)| more(name, **count)).map(|(name, _)| name.as_str())
    }
}

fn escaped(name: &str) -> String {
    name.chars()
        .flat_map(|c| (!c.is_ascii_alphanumeric() && c != '_').then_some('\\').into_iter().chain([c]))
        .collect()
}

/// Writes a generation in an order that is safe for an Envoy that already watches the folder, and gives the bootstrap.
pub fn write_all(proxy: &Dynamic, folder: &Path) -> Result<PathBuf, Failure> {
    let failure = |error: io::Error| {
        Failure::with_exit(USAGE, format!("cannot write to `{}`: {error}", folder.display()))
    };
    let nothing = Dynamic { bootstrap: Value::Null, files: BTreeMap::new() };
    for step in xds::steps(&nothing, proxy) {
        for (name, file) in &step.files {
            write(&folder.join(name), &file.response("1")).map_err(failure)?;
        }
    }
    let bootstrap = folder.join(crate::compile::CONFIGURATION);
    write(&bootstrap, &proxy.bootstrap).map_err(failure)?;
    Ok(bootstrap)
}

/// Writes a file beside its place and moves it there: whoever reads it reads all of it.
pub fn write(path: &Path, content: &Value) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new().prefix(".mesh-policy.").tempfile_in(folder)?;
    writeln!(file, "{content:#}")?;
    // Temporary files are for their owner alone; Envoy may run as somebody else.
    file.as_file().set_permissions(PermissionsExt::from_mode(0o644))?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_escaped_for_the_filter_of_statistics() {
        assert_eq!(escaped("http.0.0.0.0_80.rds.[::]_80"), r"http\.0\.0\.0\.0_80\.rds\.\[\:\:\]_80");
    }

    #[test]
    fn a_file_appears_in_its_place_whole_and_readable() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("filters/a.json");
        write(&path, &json!({"version_info": "1"})).unwrap();
        write(&path, &json!({"version_info": "2"})).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\n  \"version_info\": \"2\"\n}\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(fs::read_dir(folder.path().join("filters")).unwrap().count(), 1);
    }

    #[test]
    fn an_envoy_that_is_gone_is_no_answer() {
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(Answers::ask(gone, &BTreeMap::from([("a", "b")])).is_none());
    }

    #[test]
    fn a_refusal_is_one_that_was_not_there_before() {
        let answers = |count| Answers { refusals: [("a".to_owned(), count)].into(), ..Answers::default() };
        assert_eq!(answers(2).refused_since(&answers(1)), Some("a"));
        assert_eq!(answers(2).refused_since(&answers(2)), None);
        assert_eq!(answers(1).refused_since(&Answers::default()), Some("a"));
    }
}
