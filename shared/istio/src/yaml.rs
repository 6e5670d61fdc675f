//! YAML as people write resources in it, read into [`Node`]s with the place of every key and value.
//!
//! The scalars are those of YAML 1.2's core schema, so `on`, `off`, `yes` and `no` are text. Anchors and aliases work; merge keys
//! (`<<`) are refused, because a key that is merged and written would be there twice. JSON is YAML, so the same reader does.

use crate::node::{Member, Node, Number, Position, Value};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, Tag};
use std::borrow::Cow;
use std::collections::HashMap;
use thiserror::Error;

/// How deep a document may nest, as in JSON.
const MAX_DEPTH: usize = 128;

/// How many values one text may hold once its aliases are filled in: keeps a small text from becoming a huge tree.
const MAX_VALUES: usize = 5_000_000;

/// A text that is not YAML, or not YAML that a resource can be written in.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {} column {}: {message}", position.line, position.column)]
pub struct InvalidYaml {
    /// Where.
    pub position: Position,
    /// What is wrong.
    pub message: String,
}

/// Reads all documents of a text; documents without content are left out.
///
/// # Errors
/// The first thing that is not YAML, with its place.
pub fn read_all(text: &str) -> Result<Vec<Node>, InvalidYaml> {
    let mut reader = Reader {
        events: Parser::new_from_str(text),
        anchors: HashMap::new(),
        values: 0,
        end: Marker::new(0, 1, 0),
    };
    let mut documents = Vec::new();
    loop {
        match reader.next()? {
            (Event::StreamEnd, _) => return Ok(documents),
            (Event::DocumentStart(_), _) => {
                let node = reader.node(0)?;
                if node.value != Value::Null {
                    documents.push(node);
                }
                reader.anchors.clear();
            }
            _ => {}
        }
    }
}

/// Reads a text that holds one document.
///
/// # Errors
/// As [`read_all`], and a text with no document or with several.
pub fn read_one(text: &str) -> Result<Node, InvalidYaml> {
    let mut documents = read_all(text)?.into_iter();
    let start = Position { line: 1, column: 1 };
    let Some(first) = documents.next() else {
        return Err(InvalidYaml { position: start, message: "expected a document, found none".to_owned() });
    };
    match documents.next() {
        None => Ok(first),
        Some(second) => Err(InvalidYaml {
            position: second.position.unwrap_or(start),
            message: "expected one document, found a second".to_owned(),
        }),
    }
}

struct Reader<'t> {
    events: Parser<'t, saphyr_parser::StrInput<'t>>,
    anchors: HashMap<usize, Node>,
    values: usize,
    end: Marker,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), InvalidYaml> {
        match self.events.next() {
            Some(Ok((event, span))) => {
                self.end = span.end;
                Ok((event, span))
            }
            Some(Err(error)) => Err(scan_error(&error)),
            None => Ok((Event::StreamEnd, Span::new(self.end, self.end))),
        }
    }

    fn node(&mut self, depth: usize) -> Result<Node, InvalidYaml> {
        let (event, span) = self.next()?;
        self.value(event, span, depth)
    }

    fn value(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, InvalidYaml> {
        self.values += 1;
        if depth > MAX_DEPTH || self.values > MAX_VALUES {
            return Err(invalid(span.start, "the document is nested too deep or grows too large"));
        }
        let (value, anchor) = match event {
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned();
                let mut node =
                    node.ok_or_else(|| invalid(span.start, "an alias inside of its own anchor"))?;
                self.values += count(&node);
                node.position = Some(position(span.start));
                return Ok(node);
            }
            Event::Scalar(text, style, anchor, tag) => {
                (scalar(text, style, tag.as_deref(), span.start)?, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                core_tag(tag.as_deref(), "seq", span.start)?;
                (Value::List(self.entries(depth)?), anchor)
            }
            Event::MappingStart(anchor, tag) => {
                core_tag(tag.as_deref(), "map", span.start)?;
                (Value::Object(self.members(depth)?), anchor)
            }
            _ => (Value::Null, 0),
        };
        let node = Node { value, position: Some(position(span.start)) };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn entries(&mut self, depth: usize) -> Result<Vec<Node>, InvalidYaml> {
        let mut entries = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(entries),
                (event, span) => entries.push(self.value(event, span, depth + 1)?),
            }
        }
    }

    fn members(&mut self, depth: usize) -> Result<Vec<Member>, InvalidYaml> {
        let mut members = Vec::new();
        loop {
            let (key, place) = match self.next()? {
                (Event::MappingEnd, _) => return Ok(members),
                (Event::Scalar(text, ..), span) if text != "<<" => (text.into_owned(), span.start),
                (Event::Scalar(..), span) => {
                    return Err(invalid(span.start, "merge keys are not supported: write the keys out"));
                }
                (_, span) => return Err(invalid(span.start, "expected a text as key")),
            };
            let value = self.node(depth + 1)?;
            members.push(Member { key, position: Some(position(place)), value });
        }
    }
}

fn count(node: &Node) -> usize {
    1 + node.entries().iter().map(count).sum::<usize>()
        + node.members().iter().map(|m| count(&m.value)).sum::<usize>()
}

fn scalar(
    text: Cow<'_, str>,
    style: ScalarStyle,
    tag: Option<&Tag>,
    place: Marker,
) -> Result<Value, InvalidYaml> {
    let kind = match tag {
        None if style == ScalarStyle::Plain => None,
        None => Some("str"),
        Some(tag) if tag.is_yaml_core_schema() => Some(tag.suffix.as_str()),
        Some(tag) => return Err(invalid(place, &format!("unknown tag `{}{}`", tag.handle, tag.suffix))),
    };
    match kind {
        Some("str" | "!") => Ok(Value::String(text.into_owned())),
        None | Some("int" | "float" | "bool" | "null") => plain(text, place),
        Some(other) => Err(invalid(place, &format!("unknown tag `!!{other}`"))),
    }
}

/// A plain scalar by the core schema.
fn plain(text: Cow<'_, str>, place: Marker) -> Result<Value, InvalidYaml> {
    match text.as_ref() {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
        _ => {}
    }
    let radix = text
        .strip_prefix("0x")
        .map(|digits| i64::from_str_radix(digits, 16))
        .or_else(|| text.strip_prefix("0o").map(|digits| i64::from_str_radix(digits, 8)));
    if let Some(Ok(number)) = radix {
        return Ok(Value::Number(number.into()));
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(&text);
    // Not only what Rust reads as a number: its `inf`, `nan` and `infinity` are words here.
    let numeric = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && unsigned.contains(|c: char| c.is_ascii_digit())
        && unsigned.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '-' | '+'));
    if numeric {
        if let Ok(number) = text.parse::<i64>() {
            return Ok(Value::Number(number.into()));
        }
        if let Ok(number) = text.parse::<u64>() {
            return Ok(Value::Number(number.into()));
        }
        if let Ok(number) = text.parse::<f64>() {
            let number = Number::from_f64(number);
            return number.map(Value::Number).ok_or_else(|| invalid(place, "a number must be finite"));
        }
    }
    Ok(Value::String(text.into_owned()))
}

fn core_tag(tag: Option<&Tag>, expected: &str, place: Marker) -> Result<(), InvalidYaml> {
    match tag {
        Some(tag) if !(tag.is_yaml_core_schema() && tag.suffix == expected) => {
            Err(invalid(place, &format!("unknown tag `{}{}`", tag.handle, tag.suffix)))
        }
        _ => Ok(()),
    }
}

fn position(marker: Marker) -> Position {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    Position { line: number(marker.line()), column: number(marker.col().saturating_add(1)) }
}

fn invalid(place: Marker, message: &str) -> InvalidYaml {
    InvalidYaml { position: position(place), message: message.to_owned() }
}

fn scan_error(error: &ScanError) -> InvalidYaml {
    invalid(*error.marker(), error.info())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> String {
        serde_json::to_string(&read_one(text).unwrap()).unwrap()
    }

    #[test]
    fn scalars_are_those_of_the_core_schema() {
        assert_eq!(
            json(
                "[1, -2, 1.5, 1e3, 0x1f, 0o17, true, null, ~, yes, on, 1.2.3, 1s, '1', \"a\", .inf, inf, !!str 1, 10.0.0.0/8]"
            ),
            r#"[1,-2,1.5,1000.0,31,15,true,null,null,"yes","on","1.2.3","1s","1","a",".inf","inf","1","10.0.0.0/8"]"#
        );
    }

    #[test]
    fn every_value_knows_its_place() {
        let node = read_one("a:\n- b: x\n  c: [1,\n    2]\n").unwrap();
        let at = |path: &crate::path::Path| node.locate(path).map(|at| (at.line, at.column));
        let first = crate::path::Path::root().field("a").index(0);
        assert_eq!(at(&first), Some((2, 3)));
        assert_eq!(at(&first.field("c")), Some((3, 3)));
        assert_eq!(at(&first.field("c").index(1)), Some((4, 5)));
        assert_eq!(at(&first.field("missing")), Some((2, 3)));
    }

    #[test]
    fn equal_keys_are_both_kept() {
        assert_eq!(read_one("a: 1\na: 2\n").unwrap().members().len(), 2);
    }

    #[test]
    fn documents_without_content_are_left_out() {
        assert_eq!(read_all("---\n# nothing\n---\na: 1\n---\n").unwrap().len(), 1);
        assert_eq!(read_all("").unwrap().len(), 0);
    }

    #[test]
    fn aliases_stand_for_their_anchors() {
        assert_eq!(json("a: &x {b: [1]}\nc: *x\n"), r#"{"a":{"b":[1]},"c":{"b":[1]}}"#);
    }

    #[test]
    fn a_text_that_would_grow_without_bound_is_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for i in 1..10 {
            let alias = format!("*a{}, ", i - 1).repeat(10);
            text += &format!("a{i}: &a{i} [{alias}]\n");
        }
        assert!(read_one(&text).unwrap_err().message.contains("grows too large"));
    }

    #[test]
    fn what_is_not_yaml_is_refused_with_its_place() {
        let error = read_one("a: [1\nb: 2\n").unwrap_err();
        assert_eq!((error.position.line, error.position.column > 0), (2, true));
        assert_eq!(
            read_one("<<: {a: 1}").unwrap_err().message,
            "merge keys are not supported: write the keys out"
        );
    }
}
