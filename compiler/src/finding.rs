//! A problem as people meet it: file, line, resource, field.

use mesh_policy_istio::problem::{ProblemKind, Severity};
use std::fmt;

/// One thing that is wrong with what was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file, as it was named on input; `<stdin>` for standard input; empty when no file is to blame.
    pub file: String,
    /// The line, counted from 1; none where the text has no positions.
    pub line: Option<u32>,
    /// The column in characters, counted from 1.
    pub column: Option<u32>,
    /// The resource, `VirtualService shop/customers`, where there is one.
    pub resource: Option<String>,
    /// The field inside the resource, `spec.http[0].route[0]`; empty when the whole text is meant.
    pub path: String,
    /// Whether it refuses the resources.
    pub severity: Severity,
    /// A stable name for programs, such as `unknown-field`.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to write instead, where that is certain.
    pub help: Option<String>,
}

impl Finding {
    /// An error that stands in no file.
    pub(crate) fn placeless(kind: ProblemKind, message: impl Into<String>, help: Option<String>) -> Self {
        Self {
            file: String::new(),
            line: None,
            column: None,
            resource: None,
            path: String::new(),
            severity: Severity::Error,
            code: kind.code(),
            message: message.into(),
            help,
        }
    }

    /// Whether it refuses the resources.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Finding {
    /// `shop.yaml:7:5: error[unknown-field]: VirtualService shop/customers: spec.http[0].rote: unknown field (did you mean `route`?)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A finding about the choice of the proxy stands in no file.
        if !self.file.is_empty() {
            f.write_str(&self.file)?;
        }
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(column) = self.column {
            write!(f, ":{column}")?;
        }
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        if !self.file.is_empty() {
            f.write_str(": ")?;
        }
        write!(f, "{severity}[{}]: ", self.code)?;
        if let Some(resource) = &self.resource {
            write!(f, "{resource}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

/// Why nothing was compiled: all findings, of which at least one is an error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Refusal {
    /// Errors and warnings, in the order of the input.
    pub findings: Vec<Finding>,
}
