//! What is wrong with the resources, as lines for people and as JSON for programs.

use crate::failure::{DIM, ERROR, HELP, WARNING};
use mesh_policy_compiler::Finding;
use mesh_policy_istio::problem::Severity;
use serde_json::{Value, json};
use std::io::{self, Write};

/// Gives the text of a line of a file, counted from 1.
pub type Lines<'a> = &'a dyn Fn(&str, u32) -> Option<String>;

/// How many of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub errors: usize,
    pub warnings: usize,
    pub files: usize,
}

impl Counts {
    pub fn of(findings: &[Finding], files: usize) -> Self {
        let errors = findings.iter().filter(|finding| finding.is_error()).count();
        Self { errors, warnings: findings.len() - errors, files }
    }
}

impl std::fmt::Display for Counts {
    /// `2 errors, 1 warning in 3 files`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.errors, self.warnings) {
            (0, 0) => f.write_str("no errors")?,
            (errors, 0) => f.write_str(&count(errors, "error"))?,
            (0, warnings) => f.write_str(&count(warnings, "warning"))?,
            (errors, warnings) => write!(f, "{}, {}", count(errors, "error"), count(warnings, "warning"))?,
        }
        write!(f, " in {}", count(self.files, "file"))
    }
}

/// `1 error`, `2 errors`.
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Writes all findings for people.
pub fn write_text(findings: &[Finding], lines: Lines<'_>, out: &mut dyn Write) -> io::Result<()> {
    findings.iter().try_for_each(|finding| write_one(finding, lines, out))
}

fn write_one(finding: &Finding, lines: Lines<'_>, out: &mut dyn Write) -> io::Result<()> {
    let (style, name) = named(finding.severity);
    let position = finding.line.map(|line| (line, finding.column.unwrap_or(1)));
    if !finding.file.is_empty() {
        write!(out, "{}:", finding.file)?;
        if let Some((line, column)) = position {
            write!(out, "{line}:{column}:")?;
        }
        write!(out, " ")?;
    }
    write!(out, "{style}{name}[{}]{style:#}: ", finding.code)?;
    if let Some(resource) = &finding.resource {
        write!(out, "{resource}: ")?;
    }
    // `.` is the document as a whole.
    if !matches!(finding.path.as_str(), "" | ".") {
        write!(out, "{}: ", finding.path)?;
    }
    writeln!(out, "{}", finding.message)?;
    if let Some((line, column)) = position
        && let Some(text) = lines(&finding.file, line)
    {
        let number = line.to_string();
        let (shown, before, marked) = mark(&text, column);
        writeln!(out, "  {DIM}{number} |{DIM:#} {shown}")?;
        let indent = " ".repeat(number.len());
        writeln!(
            out,
            "  {indent} {DIM}|{DIM:#} {}{style}{}{style:#}",
            " ".repeat(before),
            "^".repeat(marked)
        )?;
    }
    if let Some(help) = &finding.help {
        writeln!(out, "  {HELP}help:{HELP:#} {help}")?;
    }
    Ok(())
}

const fn named(severity: Severity) -> (anstyle::Style, &'static str) {
    match severity {
        Severity::Error => (ERROR, "error"),
        Severity::Warning => (WARNING, "warning"),
    }
}

/// How much of a long line is shown on each side of the mark.
const BEFORE: usize = 60;
const AFTER: usize = 60;

/// The line cut to what fits, how many characters stand before the mark, and how many are marked: the word that begins
/// at `column`.
fn mark(text: &str, column: u32) -> (String, usize, usize) {
    // A tab would move the mark by what the terminal makes of it; control characters could do worse.
    let line: Vec<char> = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let at = usize::try_from(column).unwrap_or(usize::MAX).saturating_sub(1).min(line.len());
    let from = at.saturating_sub(BEFORE);
    let to = line.len().min(at.saturating_add(AFTER));
    let quote = line.get(at).copied().filter(|c| matches!(c, '"' | '\''));
    let word = line.iter().skip(at).take(to - at);
    let marked = match quote {
        Some(quote) => word.skip(1).take_while(|c| **c != quote).count() + 2,
        None => word.take_while(|c| !c.is_whitespace() && !":,]}".contains(**c)).count(),
    };
    let (begin, end) = (if from > 0 { "…" } else { "" }, if to < line.len() { "…" } else { "" });
    let shown: String = line.iter().skip(from).take(to - from).collect();
    let before = at - from + begin.chars().count();
    (format!("{begin}{shown}{end}"), before, marked.clamp(1, (to - at).max(1)))
}

/// All findings for programs.
pub fn to_json(findings: &[Finding], counts: Counts) -> Value {
    let findings: Vec<Value> = findings
        .iter()
        .map(|finding| {
            json!({
                "severity": named(finding.severity).1,
                "code": finding.code,
                "file": finding.file,
                "line": finding.line,
                "column": finding.column,
                "resource": finding.resource,
                "path": finding.path,
                "message": finding.message,
                "help": finding.help,
            })
        })
        .collect();
    json!({ "findings": findings, "errors": counts.errors, "warnings": counts.warnings, "files": counts.files })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding() -> Finding {
        Finding {
            severity: Severity::Error,
            code: "misplaced-field",
            file: "shop.yaml".to_owned(),
            line: Some(12),
            column: Some(5),
            resource: Some("VirtualService shop/customers".to_owned()),
            path: "spec.http[0].route[0].timeout".to_owned(),
            message: "unknown field".to_owned(),
            help: Some("move it to `spec.http[0].timeout`".to_owned()),
        }
    }

    fn plain(findings: &[Finding]) -> String {
        let line =
            |file: &str, line: u32| (file == "shop.yaml" && line == 12).then(|| "    timeout: 5s".to_owned());
        let mut out = anstream::StripStream::new(Vec::new());
        write_text(findings, &line, &mut out).unwrap();
        String::from_utf8(out.into_inner()).unwrap()
    }

    #[test]
    fn a_finding_shows_its_line_and_marks_the_word() {
        let expected = "\
shop.yaml:12:5: error[misplaced-field]: VirtualService shop/customers: spec.http[0].route[0].timeout: unknown field
  12 |     timeout: 5s
     |     ^^^^^^^
  help: move it to `spec.http[0].timeout`
";
        assert_eq!(plain(&[finding()]), expected);
    }

    #[test]
    fn a_finding_without_a_place_is_one_line() {
        let bare = Finding {
            file: String::new(),
            line: None,
            resource: None,
            path: String::new(),
            help: None,
            ..finding()
        };
        assert_eq!(plain(&[bare]), "error[misplaced-field]: unknown field\n");
    }

    #[test]
    fn a_quoted_word_is_marked_with_its_quotes() {
        assert_eq!(mark("a: \"b c\" # d", 4), ("a: \"b c\" # d".to_owned(), 3, 5));
    }

    #[test]
    fn a_column_behind_the_end_and_a_long_line_do_no_harm() {
        assert_eq!(mark("ab", 9), ("ab".to_owned(), 2, 1));
        assert_eq!(mark("", 1), (String::new(), 0, 1));
        let (shown, before, marked) = mark(&"x".repeat(500), 200);
        assert_eq!((shown.chars().count(), before, marked), (BEFORE + AFTER + 2, BEFORE + 1, AFTER));
    }

    #[test]
    fn counts_read_as_a_sentence() {
        let text = |errors, warnings, files| Counts { errors, warnings, files }.to_string();
        assert_eq!(text(2, 1, 3), "2 errors, 1 warning in 3 files");
        assert_eq!(text(0, 2, 1), "2 warnings in 1 file");
        assert_eq!(text(1, 0, 1), "1 error in 1 file");
        assert_eq!(text(0, 0, 2), "no errors in 2 files");
    }
}
