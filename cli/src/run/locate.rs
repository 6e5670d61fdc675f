//! Where Envoy and the Wasm modules are.

use crate::failure::Failure;
use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The module that decides everything in one callback.
pub const MODULE: &str = "mesh_policy.wasm";

/// An Envoy that runs, and what it says of itself.
#[derive(Debug, PartialEq, Eq)]
pub struct Envoy {
    pub path: PathBuf,
    /// `1.40.0`.
    pub version: String,
}

/// The Envoy to run: as told, else `$ENVOY`, else the one in `.tools/bin` of this folder or of the repository that the
/// program was built in, else on PATH.
pub fn envoy(told: Option<&Path>) -> Result<Envoy, Failure> {
    let found = find_envoy(told, env::var_os("ENVOY").as_deref(), &homes(), env::var_os("PATH").as_deref())?;
    let version = version(&found)?;
    recent_enough(&found, &version)?;
    Ok(Envoy { path: found, version })
}

/// The first Envoy that takes a compiled configuration: its network filters can look at the peer after the handshake.
const OLDEST: (u32, u32) = (1, 37);

/// A version that cannot be read is let through: Envoy itself will say what it does not know.
fn recent_enough(envoy: &Path, version: &str) -> Result<(), Failure> {
    let mut numbers = version.split('.').map(|number| number.parse().ok());
    let (Some(Some(major)), Some(Some(minor))) = (numbers.next(), numbers.next()) else { return Ok(()) };
    if (major, minor) >= OLDEST {
        return Ok(());
    }
    let (oldest_major, oldest_minor) = OLDEST;
    Err(Failure::environment(format!("`{}` is Envoy {version}, which is too old", envoy.display()))
        .help(format!("compiled configurations need Envoy {oldest_major}.{oldest_minor} or later: name one by --envoy PATH")))
}

fn find_envoy(
    told: Option<&Path>,
    variable: Option<&OsStr>,
    homes: &[PathBuf],
    path: Option<&OsStr>,
) -> Result<PathBuf, Failure> {
    if let Some(told) = told {
        return program(told).ok_or_else(|| {
            Failure::environment(format!("--envoy is `{}`, which is not a program", told.display()))
        });
    }
    // One that is named and wrong is not replaced by another without a word.
    if let Some(named) = variable.filter(|value| !value.is_empty()).map(Path::new) {
        return program(named).ok_or_else(|| {
            Failure::environment(format!("$ENVOY is `{}`, which is not a program", named.display()))
        });
    }
    let installed = homes.iter().map(|home| home.join(".tools/bin/envoy"));
    let on_path = path.into_iter().flat_map(env::split_paths).map(|folder| folder.join("envoy"));
    installed.chain(on_path).find_map(|candidate| program(&candidate)).ok_or_else(|| {
        Failure::environment("no Envoy: $ENVOY is not set, and there is none in `.tools/bin` or on PATH")
            .help("`make setup` in the repository fetches one; or take a release from")
            .help("https://github.com/envoyproxy/envoy/releases and name it by --envoy PATH")
    })
}

fn program(path: &Path) -> Option<PathBuf> {
    // Envoy is started from this folder, but a bare name would be looked for on PATH.
    let path = std::path::absolute(path).ok()?;
    path.is_file().then_some(path)
}

fn version(envoy: &Path) -> Result<String, Failure> {
    let unusable = |why: String| {
        Failure::environment(format!("`{}` does not run: {why}", envoy.display()))
            .help("name an Envoy built for this machine by --envoy PATH")
    };
    let output = Command::new(envoy)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| unusable(error.to_string()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    // `envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL`
    let version = text.lines().find_map(|line| line.split_once("version: ")?.1.split('/').nth(1));
    match version {
        Some(version) if output.status.success() => Ok(version.to_owned()),
        _ => {
            let said = String::from_utf8_lossy(&output.stderr);
            let said =
                said.lines().chain(text.lines()).find(|line| !line.trim().is_empty()).unwrap_or("nothing");
            Err(unusable(format!("`--version` ends with {} and says: {said}", output.status)))
        }
    }
}

/// The folder with the modules: as told, else `$MESH_POLICY_MODULES`, else `dist` of this folder or of the repository.
pub fn modules(told: Option<&Path>) -> Result<PathBuf, Failure> {
    find_modules(told, env::var_os("MESH_POLICY_MODULES").as_deref(), &homes())
}

fn find_modules(
    told: Option<&Path>,
    variable: Option<&OsStr>,
    homes: &[PathBuf],
) -> Result<PathBuf, Failure> {
    let holds = |folder: &Path| {
        let folder = std::path::absolute(folder).ok()?;
        folder.join(MODULE).is_file().then_some(folder)
    };
    let missing = |folder: &Path, name: &str| {
        Failure::environment(format!("no `{MODULE}` in `{}`, which {name} names", folder.display()))
            .help("`make wasm` in the repository builds the modules into its `dist` folder")
    };
    if let Some(told) = told {
        return holds(told).ok_or_else(|| missing(told, "--modules"));
    }
    if let Some(named) = variable.filter(|value| !value.is_empty()).map(Path::new) {
        return holds(named).ok_or_else(|| missing(named, "$MESH_POLICY_MODULES"));
    }
    homes.iter().find_map(|home| holds(&home.join("dist"))).ok_or_else(|| {
        Failure::environment(format!("no `dist/{MODULE}` in this folder or in the repository"))
            .help("`make wasm` in the repository builds it; or name its folder by --modules DIR")
    })
}

/// This folder, then the repository that the program was built in: the folder around its `target`. Not simply every folder
/// above the program, since others may write to those.
fn homes() -> Vec<PathBuf> {
    let program = env::current_exe().ok();
    let repository = program.as_deref().and_then(repository_of);
    env::current_dir().into_iter().chain(repository.map(Path::to_owned)).collect()
}

fn repository_of(program: &Path) -> Option<&Path> {
    program.ancestors().find(|folder| folder.file_name() == Some(OsStr::new("target")))?.parent()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn folder_with(file: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
        folder
    }

    #[test]
    fn envoy_is_what_was_told_then_the_variable_then_installed_then_on_the_path() {
        let (told, named, path) = (folder_with("envoy"), folder_with("envoy"), folder_with("envoy"));
        let home = folder_with(".tools/bin/envoy");
        let (told, named) = (told.path().join("envoy"), named.path().join("envoy"));
        let homes = [home.path().to_owned()];
        let find = |told: Option<&Path>, variable: Option<&Path>, homes: &[PathBuf]| {
            find_envoy(told, variable.map(Path::as_os_str), homes, Some(path.path().as_os_str())).unwrap()
        };
        assert_eq!(find(Some(&told), Some(&named), &homes), told);
        assert_eq!(find(None, Some(&named), &homes), named);
        assert_eq!(find(None, Some(Path::new("")), &homes), home.path().join(".tools/bin/envoy"));
        assert_eq!(find(None, None, &[]), path.path().join("envoy"));
    }

    #[test]
    fn a_named_envoy_that_is_none_is_not_replaced() {
        let path = folder_with("envoy");
        let found = find_envoy(None, Some(OsStr::new("/nonexistent")), &[], Some(path.path().as_os_str()));
        assert_eq!(found, Err(Failure::environment("$ENVOY is `/nonexistent`, which is not a program")));
    }

    #[test]
    fn an_envoy_that_is_too_old_is_named_with_what_is_needed() {
        let judged = |version| recent_enough(Path::new("/bin/envoy"), version);
        for version in ["1.37.0", "1.41.0-dev", "2.0.0", "unknown"] {
            assert_eq!(judged(version), Ok(()), "{version}");
        }
        let refused = Failure::environment("`/bin/envoy` is Envoy 1.36.4, which is too old")
            .help("compiled configurations need Envoy 1.37 or later: name one by --envoy PATH");
        assert_eq!(judged("1.36.4"), Err(refused));
    }

    #[test]
    fn the_modules_are_where_the_policy_module_is() {
        let (told, home) = (folder_with(MODULE), folder_with(&format!("dist/{MODULE}")));
        let homes = [home.path().to_owned()];
        assert_eq!(find_modules(Some(told.path()), None, &homes).unwrap(), told.path());
        assert_eq!(find_modules(None, Some(told.path().as_os_str()), &homes).unwrap(), told.path());
        assert_eq!(find_modules(None, None, &homes).unwrap(), home.path().join("dist"));
        assert!(find_modules(Some(home.path()), None, &homes).is_err());
    }

    #[test]
    fn the_repository_is_the_folder_around_target() {
        let repository = |program| repository_of(Path::new(program));
        assert_eq!(repository("/src/mesh/target/debug/mesh-policy"), Some(Path::new("/src/mesh")));
        assert_eq!(repository("/usr/local/bin/mesh-policy"), None);
    }
}
