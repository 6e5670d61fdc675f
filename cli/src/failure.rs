//! Why a command ends without success: the exit code, and words for the person who typed it.

use anstream::eprintln;
use anstyle::{AnsiColor, Style};
use std::process::ExitCode;

/// The resources were refused.
pub const REFUSED: u8 = 1;
/// The command line is wrong.
pub const USAGE: u8 = 2;
/// Envoy, its modules or a port are not there for us.
pub const ENVIRONMENT: u8 = 3;

pub const ERROR: Style = AnsiColor::Red.on_default().bold();
pub const WARNING: Style = AnsiColor::Yellow.on_default().bold();
pub const HELP: Style = AnsiColor::Cyan.on_default();
pub const BOLD: Style = Style::new().bold();
pub const GOOD: Style = AnsiColor::Green.on_default();
pub const DIM: Style = Style::new().dimmed();

/// Why a command failed.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    exit: u8,
    message: Option<String>,
    quotes: Vec<String>,
    help: Vec<String>,
}

impl Failure {
    /// The resources were refused, and the findings are printed already.
    pub const fn refused() -> Self {
        Self { exit: REFUSED, message: None, quotes: Vec::new(), help: Vec::new() }
    }

    /// Ends with this exit code and these words.
    pub fn with_exit(exit: u8, message: impl Into<String>) -> Self {
        Self { exit, message: Some(message.into()), quotes: Vec::new(), help: Vec::new() }
    }

    /// Ends with this exit code; all is said already.
    pub const fn silent(exit: u8) -> Self {
        Self { exit, message: None, quotes: Vec::new(), help: Vec::new() }
    }

    /// The command line is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::with_exit(USAGE, message)
    }

    /// Something that the command needs is not there.
    pub fn environment(message: impl Into<String>) -> Self {
        Self::with_exit(ENVIRONMENT, message)
    }

    /// Adds a line that says what to do.
    pub fn help(mut self, line: impl Into<String>) -> Self {
        self.help.push(line.into());
        self
    }

    /// Adds a line that somebody else said.
    pub fn quote(mut self, line: impl Into<String>) -> Self {
        self.quotes.push(line.into());
        self
    }

    /// The same with another exit code.
    pub fn with_code(self, exit: u8) -> Self {
        Self { exit, ..self }
    }

    /// Says it on standard error.
    pub fn report(self) -> ExitCode {
        if let Some(message) = self.message {
            eprintln!("{ERROR}error:{ERROR:#} {message}");
        }
        for line in self.quotes {
            eprintln!("  {line}");
        }
        for (index, line) in self.help.iter().enumerate() {
            match index {
                0 => eprintln!("  {HELP}help:{HELP:#} {line}"),
                _ => eprintln!("        {line}"),
            }
        }
        ExitCode::from(self.exit)
    }
}

impl From<std::io::Error> for Failure {
    /// For output that cannot be written; a reader that went away (`| head`) is told nothing.
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::silent(0);
        }
        Self::environment(format!("cannot write the output: {error}"))
    }
}
