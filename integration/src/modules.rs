//! The built filters.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// One of the modules that `make wasm` builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Module {
    /// `AuthorizationPolicy`.
    Authz,
    /// Routing: which cluster, redirects, direct responses.
    Router,
    /// Delays and aborts.
    Fault,
    /// Header edits.
    Headers,
    /// All four in one callback.
    Policy,
}

impl Module {
    /// Every module, in the order of the filter chain, the all-in-one last.
    pub const ALL: [Self; 5] = [Self::Authz, Self::Router, Self::Fault, Self::Headers, Self::Policy];

    /// The module's file name.
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Authz => "mesh_authz.wasm",
            Self::Router => "mesh_router.wasm",
            Self::Fault => "mesh_fault.wasm",
            Self::Headers => "mesh_headers.wasm",
            Self::Policy => "mesh_policy.wasm",
        }
    }

    /// Where the module is.
    ///
    /// # Errors
    /// It has not been built.
    pub fn path(self) -> Result<PathBuf> {
        self.path_in(&repository().join("dist"))
    }

    fn path_in(self, dist: &Path) -> Result<PathBuf> {
        let path = dist.join(self.file_name());
        if path.is_file() {
            return Ok(path);
        }
        Err(Error::new(format!("no module at `{}`: run `make wasm`", path.display())))
    }
}

/// The root of the repository.
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_module_says_how_to_build_it() {
        let empty = tempfile::tempdir().unwrap();
        let error = Module::Authz.path_in(empty.path()).unwrap_err();
        let path = empty.path().join("mesh_authz.wasm");
        assert_eq!(error.to_string(), format!("no module at `{}`: run `make wasm`", path.display()));
    }

    #[test]
    fn a_built_module_is_found_under_its_name() {
        let dist = tempfile::tempdir().unwrap();
        for module in Module::ALL {
            std::fs::write(dist.path().join(module.file_name()), b"\0asm").unwrap();
            assert_eq!(module.path_in(dist.path()).unwrap(), dist.path().join(module.file_name()));
        }
    }

    #[test]
    fn the_repository_holds_this_crate() {
        assert!(repository().join("integration/Cargo.toml").is_file());
    }
}
