//! Which Envoy is run.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
};

use crate::{Error, Result, modules::repository};

/// The Envoy binary: `$ENVOY`, else the one `make setup` installs, else `envoy` on PATH.
///
/// # Errors
/// There is none; or `$ENVOY` is set, but to nothing that exists, which no other Envoy stands in for.
pub fn find() -> Result<PathBuf> {
    find_in(env::var_os("ENVOY").as_deref(), &repository(), env::var_os("PATH").as_deref())
}

fn find_in(variable: Option<&OsStr>, repository: &Path, path: Option<&OsStr>) -> Result<PathBuf> {
    if let Some(value) = variable.filter(|value| !value.is_empty()) {
        let named = PathBuf::from(value);
        if named.is_file() {
            return Ok(named);
        }
        return Err(Error::new(format!("$ENVOY is `{}`, and there is no such file", named.display())));
    }
    let installed = repository.join(".tools/bin/envoy");
    let on_path = path.into_iter().flat_map(env::split_paths).map(|folder| folder.join("envoy"));
    std::iter::once(installed.clone()).chain(on_path).find(|candidate| candidate.is_file()).ok_or_else(|| {
        Error::new(format!(
            "no Envoy: $ENVOY is not set, `{}` does not exist and there is no `envoy` on PATH\n  \
             help: run `make setup`",
            installed.display()
        ))
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn folder_with_envoy(below: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join(below)).unwrap();
        fs::write(folder.path().join(below).join("envoy"), "").unwrap();
        folder
    }

    #[test]
    fn the_variable_comes_first_then_the_installed_one_then_the_path() {
        let named = folder_with_envoy("");
        let repository = folder_with_envoy(".tools/bin");
        let path = folder_with_envoy("");
        let named = named.path().join("envoy");
        let find = |variable: Option<&OsStr>, repository: &Path| {
            find_in(variable, repository, Some(path.path().as_os_str())).unwrap()
        };
        assert_eq!(find(Some(named.as_os_str()), repository.path()), named);
        assert_eq!(find(None, repository.path()), repository.path().join(".tools/bin/envoy"));
        assert_eq!(find(Some(OsStr::new("")), Path::new("/nonexistent")), path.path().join("envoy"));
    }

    #[test]
    fn a_variable_that_points_nowhere_is_an_error() {
        let path = folder_with_envoy("");
        let found =
            find_in(Some(OsStr::new("/nonexistent/envoy")), path.path(), Some(path.path().as_os_str()));
        let text = "$ENVOY is `/nonexistent/envoy`, and there is no such file";
        assert_eq!(found.unwrap_err().to_string(), text);
    }

    #[test]
    fn no_envoy_anywhere_names_the_cure() {
        let text = find_in(None, Path::new("/nonexistent"), None).unwrap_err().to_string();
        let expected = "no Envoy: $ENVOY is not set, `/nonexistent/.tools/bin/envoy` does not exist and there \
                        is no `envoy` on PATH\n  help: run `make setup`";
        assert_eq!(text, expected);
    }
}
