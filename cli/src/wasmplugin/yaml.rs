//! JSON as YAML that people read: blocks for what has entries, JSON for the rest, which is YAML too.

use serde_json::Value;

/// A document.
pub fn document(value: &Value) -> String {
    let mut text = String::new();
    block(value, 0, &mut text);
    text
}

fn block(value: &Value, indent: usize, text: &mut String) {
    let margin = "  ".repeat(indent);
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                text.push_str(&margin);
                text.push_str(&scalar(key));
                text.push(':');
                below(value, indent, text);
            }
        }
        Value::Array(entries) => {
            for entry in entries {
                let mut inner = String::new();
                if is_block(entry) {
                    block(entry, indent + 1, &mut inner);
                } else {
                    inner = format!("{margin}  {}\n", flat(entry));
                }
                // The dash stands where the first line of the entry has its indentation.
                text.push_str(&margin);
                text.push_str("- ");
                text.push_str(inner.trim_start());
            }
        }
        other => {
            text.push_str(&flat(other));
            text.push('\n');
        }
    }
}

fn below(value: &Value, indent: usize, text: &mut String) {
    if is_block(value) {
        text.push('\n');
        // As kubectl prints lists: the dashes below the key.
        block(value, indent + usize::from(value.is_object()), text);
    } else {
        text.push(' ');
        text.push_str(&flat(value));
        text.push('\n');
    }
}

fn is_block(value: &Value) -> bool {
    value.as_object().is_some_and(|fields| !fields.is_empty())
        || value.as_array().is_some_and(|entries| !entries.is_empty())
}

fn flat(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        other => other.to_string(),
    }
}

/// Plain where nobody can take it for anything but this text, else quoted as in JSON.
fn scalar(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "._/-".contains(c));
    let word = matches!(
        text.to_ascii_lowercase().as_str(),
        "true" | "false" | "yes" | "no" | "on" | "off" | "null" | "y" | "n"
    );
    if plain && !word { text.to_owned() } else { Value::String(text.to_owned()).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn blocks_lists_and_scalars_read_as_yaml() {
        let value =
            json!({"a": {"b": [{"c": 1, "d": [[1, "x"], {}]}, "on", "1.5"]}, "e": [], "f: g": "h: i\n"});
        let expected = "a:\n  b:\n  - c: 1\n    d:\n    - - 1\n      - x\n    - {}\n  - \"on\"\n  - \"1.5\"\n\
                        e: []\n\"f: g\": \"h: i\\n\"\n";
        assert_eq!(document(&value), expected);
    }

    #[test]
    fn what_is_read_again_is_what_was_written() {
        let value =
            json!({"x": [{"y": ["a", {"z": "null"}]}, [[["deep"]], "0x1"]], "t": true, "n": null, "s": " "});
        let read = mesh_policy_compiler::Sources::from_text("a.yaml", &document(&value));
        // Not a resource, but the text itself is sound.
        assert!(read.findings().iter().all(|finding| finding.code != "syntax"), "{:?}", read.findings());
    }
}
