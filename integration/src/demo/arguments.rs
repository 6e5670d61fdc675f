//! The command line.

/// What `--help` prints.
pub const HELP: &str = "\
Runs the guide's examples against real Envoys and prints a table: what was sent, expected and observed.

Usage: demo [--keep]        (make demo, make demo KEEP=1)

Options:
  --keep  leave everything running after the table, and print what to curl, until Ctrl-C
  --help  print this

It starts echo servers, `mesh-policy run` for a gateway with the resources in integration/demo/gateway and for the
gateways and sidecars of integration/demo/mesh, and Envoys with mTLS that enforce the policies in
integration/demo/workload; all of it listens on loopback, on free ports, and is stopped at the end. The table goes
to standard output, progress to standard error.

Splits and percentages are judged by exact binomial bounds that a correct proxy leaves once in a million runs.

Environment:
  ENVOY        the Envoy to run                       (default: .tools/bin/envoy, then PATH)
  MESH_POLICY  the mesh-policy command to run         (default: beside this program)
  NO_COLOR     no colours, on a terminal either

Exit codes: 0 all rows are ok, 1 some are not or something did not start, 2 the command line is wrong,
130 stopped before the table was complete.
";

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Arguments {
    /// The help text.
    Help,
    /// The demo.
    Run {
        /// Leave it running after the table.
        keep: bool,
    },
}

impl Arguments {
    /// Reads the words after the program's name; the error is the first that is not known.
    pub fn read(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut keep = false;
        for word in words {
            match word.as_str() {
                "--keep" => keep = true,
                "--help" | "-h" => return Ok(Self::Help),
                _ => return Err(word),
            }
        }
        Ok(Self::Run { keep })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Arguments, String> {
        Arguments::read(words.iter().map(|word| (*word).to_owned()))
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        assert_eq!(read(&[]), Ok(Arguments::Run { keep: false }));
        assert_eq!(read(&["--keep"]), Ok(Arguments::Run { keep: true }));
        assert_eq!(read(&["--keep", "--help"]), Ok(Arguments::Help));
        assert_eq!(read(&["--kep"]), Err("--kep".to_owned()));
    }
}
