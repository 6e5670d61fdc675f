//! Files that people copy, filled with the ports and paths of one run.
//!
//! They hold values that work as they stand, no placeholders; so what is replaced has to be there.

use crate::{Error, Result};

/// Replaces every `from` by its `to`.
///
/// # Errors
/// A `from` does not occur.
pub fn fill(text: &str, replacements: &[(&str, &str)]) -> Result<String> {
    let mut filled = text.to_owned();
    for (from, to) in replacements {
        if !filled.contains(from) {
            return Err(Error::new(format!("`{from}` is not there to be replaced")));
        }
        filled = filled.replace(from, to);
    }
    Ok(filled)
}

/// Replaces the numbers of ports, which may be numbers of others of this run.
///
/// # Errors
/// A number does not occur.
pub fn renumber(text: &str, ports: &[(u16, String)]) -> Result<String> {
    let marks: Vec<_> =
        ports.iter().map(|(from, to)| (from.to_string(), format!("@{from}@"), to.as_str())).collect();
    let marked: Vec<_> = marks.iter().map(|(from, mark, _)| (from.as_str(), mark.as_str())).collect();
    let filled: Vec<_> = marks.iter().map(|(_, mark, to)| (mark.as_str(), *to)).collect();
    fill(&fill(text, &marked)?, &filled)
}

/// Replaces the lines of the only YAML block scalar `KEY: |` by `content`.
///
/// # Errors
/// There is no such block, or more than one.
pub fn fill_block(text: &str, key: &str, content: &str) -> Result<String> {
    let head = format!("{key}: |");
    let is_head = |line: &&str| line.trim() == head;
    if text.lines().filter(is_head).count() != 1 {
        return Err(Error::new(format!("expected one block `{head}`")));
    }
    let mut filled = String::with_capacity(text.len() + content.len());
    // The indentation of the head, while its lines are passed over.
    let mut inside: Option<usize> = None;
    for line in text.lines() {
        let indentation = line.len() - line.trim_start().len();
        if inside.is_some_and(|head| indentation > head || line.trim().is_empty()) {
            continue;
        }
        inside = None;
        filled.push_str(line);
        filled.push('\n');
        if is_head(&line) {
            inside = Some(indentation);
            for line in content.lines() {
                filled.push_str(&format!("{:width$}{line}\n", "", width = indentation + 2));
            }
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_not_there_is_missed() {
        assert_eq!(fill("port: 1, 1", &[("1", "2")]).unwrap(), "port: 2, 2");
        let error = fill("port: 1", &[("3", "2")]).unwrap_err().to_string();
        assert_eq!(error, "`3` is not there to be replaced");
    }

    #[test]
    fn ports_may_change_places() {
        let ports = [(19001, "19002".to_owned()), (19002, "19001".to_owned())];
        assert_eq!(renumber("a: 19001, b: 19002", &ports).unwrap(), "a: 19002, b: 19001");
    }

    #[test]
    fn a_block_is_replaced_with_its_indentation_and_nothing_else() {
        let text = "a:\n  value: |\n    {\n      1\n\n    }\n  next: 2\n";
        assert_eq!(fill_block(text, "value", "{\n}").unwrap(), "a:\n  value: |\n    {\n    }\n  next: 2\n");
        for text in ["value: 1\n", "value: |\n  a\nvalue: |\n  b\n"] {
            assert_eq!(
                fill_block(text, "value", "x").unwrap_err().to_string(),
                "expected one block `value: |`"
            );
        }
    }
}
