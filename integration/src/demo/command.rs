//! The `mesh-policy` command, as people run it.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Context, Error, Result};

/// The program: `$MESH_POLICY`, else the one beside this program, or above it where this is a test in `deps`.
///
/// # Errors
/// There is none.
pub fn find() -> Result<PathBuf> {
    if let Some(named) = env::var_os("MESH_POLICY").filter(|value| !value.is_empty()).map(PathBuf::from) {
        if named.is_file() {
            return Ok(named);
        }
        return Err(Error::new(format!("$MESH_POLICY is `{}`, and there is no such file", named.display())));
    }
    let here = env::current_exe().context("asking where this program is")?;
    let folder = here.parent().context("the folder of this program")?;
    let folder = folder.parent().filter(|_| folder.ends_with("deps")).unwrap_or(folder);
    let beside = folder.join("mesh-policy");
    if beside.is_file() {
        return Ok(beside);
    }
    Err(Error::new(format!(
        "no `{}`\n  help: `make demo` builds it, and so does `cargo build -p mesh-policy`",
        beside.display()
    )))
}

/// What `mesh-policy plugin-config` prints for a workload: JSON.
///
/// # Errors
/// The command refuses; the text is what it says.
pub fn plugin_config(folder: &Path, workload: &str, labels: &str) -> Result<String> {
    let program = find()?;
    let output = Command::new(&program)
        .arg("plugin-config")
        .arg("-f")
        .arg(folder)
        .args(["--workload", workload, "--labels", labels, "-o", "json"])
        .output()
        .context(format_args!("starting `{}`", program.display()))?;
    if output.status.success() {
        return String::from_utf8(output.stdout).context("reading what `mesh-policy plugin-config` prints");
    }
    Err(Error::new(format!(
        "`mesh-policy plugin-config` ended with {}:\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    )))
}
