//! YAML text as [`Node`]s with positions, read event by event.
//!
//! Scalars are those of YAML 1.2's core schema. Where `kubectl`, which reads YAML 1.1, would take another value for the
//! same text (`010` is eight there), the text is refused rather than guessed. Aliases, anchors and merge keys (`<<`) work as
//! they do with kubectl; equal keys are both kept, so that decoding can report them.

mod scalar;

use crate::node::{Member, Node, Position, Value};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};
use scalar::scalar;
use std::collections::BTreeMap;
use thiserror::Error;

/// As deep as `serde_json` reads: no Istio resource comes near, and nothing behind here must recurse without bound.
const MAX_DEPTH: usize = 128;

/// How many values aliases may multiply one text into.
const MAX_ALIASED: usize = 1_000_000;

/// Why a text is not YAML, or not YAML that a resource can be written in.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {} column {}: {message}", position.line, position.column)]
pub struct YamlError {
    /// Where.
    pub position: Position,
    /// What is wrong.
    pub message: String,
    /// The cure, where it is certain.
    pub help: Option<String>,
}

impl YamlError {
    fn new(position: Position, message: impl Into<String>) -> Self {
        Self { position, message: message.into(), help: None }
    }
}

/// What one text holds.
#[derive(Debug, Default)]
pub struct Documents {
    /// The documents that are not empty.
    pub nodes: Vec<Node<'static>>,
    /// Numbers and booleans whose text says more than their value (`1.10`), by position.
    pub written: BTreeMap<Position, String>,
}

/// Reads all documents of `text`.
///
/// # Errors
/// The first thing that is not YAML, or not YAML that a resource can be written in, with its place.
pub fn read(text: &str) -> Result<Documents, YamlError> {
    let mut reader = Reader::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            YamlError::new(position(error.marker()), format!("not YAML: {}", error.info()))
        })?;
        reader.event(event, position(&span.start))?;
    }
    Ok(reader.documents)
}

fn position(marker: &Marker) -> Position {
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Position { line: count(marker.line()), column: count(marker.col().saturating_add(1)) }
}

/// A collection that is still open.
#[derive(Debug)]
struct Open {
    anchor: usize,
    position: Position,
    content: Content,
}

#[derive(Debug)]
enum Content {
    List(Vec<Node<'static>>),
    Object {
        members: Vec<Member<'static>>,
        /// The key whose value comes next, and whether it is a plain `<<`.
        key: Option<(String, Position, bool)>,
        merged: Vec<Node<'static>>,
    },
}

#[derive(Debug, Default)]
struct Reader {
    documents: Documents,
    stack: Vec<Open>,
    anchors: BTreeMap<usize, Node<'static>>,
    aliased: usize,
}

impl Reader {
    fn event(&mut self, event: Event<'_>, at: Position) -> Result<(), YamlError> {
        match event {
            Event::DocumentStart(_) => self.anchors.clear(),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            Event::Scalar(text, style, anchor, tag) => {
                if self.wants_key() {
                    return self.key(&text, style, anchor, tag.as_deref(), at);
                }
                let value = scalar(&text, style, tag.as_deref(), at)?;
                if matches!(value, Value::Number(_) | Value::Bool(_)) {
                    self.documents.written.insert(at, text.into_owned());
                }
                self.value(Node { value, position: Some(at) }, anchor)?;
            }
            Event::Alias(anchor) => {
                let Some(mut node) = self.anchors.get(&anchor).cloned() else {
                    return Err(YamlError::new(at, "this alias stands inside the value that it names"));
                };
                self.aliased = self.aliased.saturating_add(size(&node));
                if self.aliased > MAX_ALIASED {
                    return Err(YamlError::new(
                        at,
                        format!("the aliases stand for more than {MAX_ALIASED} values"),
                    ));
                }
                if self.wants_key() {
                    let Value::String(text) = &node.value else {
                        return Err(YamlError::new(
                            at,
                            format!("expected text as a key, found {}", node.describe()),
                        ));
                    };
                    return self.key(&text.clone(), ScalarStyle::DoubleQuoted, 0, None, at);
                }
                if self.stack.len() + depth(&node) > MAX_DEPTH {
                    return Err(too_deep(at));
                }
                node.position = Some(at);
                self.value(node, 0)?;
            }
            Event::SequenceStart(anchor, tag) => {
                self.open(Content::List(Vec::new()), anchor, tag.as_deref(), "seq", at)?;
            }
            Event::MappingStart(anchor, tag) => {
                let content = Content::Object { members: Vec::new(), key: None, merged: Vec::new() };
                self.open(content, anchor, tag.as_deref(), "map", at)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.stack.pop() {
                    let anchor = open.anchor;
                    self.value(close(open)?, anchor)?;
                }
            }
        }
        Ok(())
    }

    fn wants_key(&self) -> bool {
        matches!(self.stack.last(), Some(Open { content: Content::Object { key: None, .. }, .. }))
    }

    fn open(
        &mut self,
        content: Content,
        anchor: usize,
        tag: Option<&Tag>,
        own_tag: &str,
        at: Position,
    ) -> Result<(), YamlError> {
        if self.wants_key() {
            return Err(YamlError::new(at, "expected text as a key, found a list or an object"));
        }
        if let Some(tag) = tag.filter(|tag| !(tag.is_yaml_core_schema() && tag.suffix == own_tag)) {
            return Err(unknown_tag(tag, at));
        }
        if self.stack.len() >= MAX_DEPTH {
            return Err(too_deep(at));
        }
        self.stack.push(Open { anchor, position: at, content });
        Ok(())
    }

    /// Keys are text whatever they look like: kubectl, too, turns `8080:` into `"8080":`.
    fn key(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        at: Position,
    ) -> Result<(), YamlError> {
        if let Some(tag) = tag.filter(|tag| !(tag.is_yaml_core_schema() && tag.suffix == "str")) {
            return Err(unknown_tag(tag, at));
        }
        if anchor != 0 {
            let node = Node { value: Value::String(text.to_owned().into()), position: Some(at) };
            self.anchors.insert(anchor, node);
        }
        if let Some(Open { content: Content::Object { key, .. }, .. }) = self.stack.last_mut() {
            let merge = style == ScalarStyle::Plain && tag.is_none() && text == "<<";
            *key = Some((text.to_owned(), at, merge));
        }
        Ok(())
    }

    /// Puts a finished value where it belongs.
    fn value(&mut self, node: Node<'static>, anchor: usize) -> Result<(), YamlError> {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.stack.last_mut().map(|open| &mut open.content) {
            None if node.value == Value::Null => {}
            None => self.documents.nodes.push(node),
            Some(Content::List(entries)) => entries.push(node),
            Some(Content::Object { members, key, merged }) => match key.take() {
                Some((_, at, true)) => match &node.value {
                    Value::Object(_) => merged.push(node),
                    Value::List(entries) if entries.iter().all(|n| matches!(n.value, Value::Object(_))) => {
                        merged.extend(entries.iter().cloned());
                    }
                    _ => {
                        return Err(YamlError::new(
                            at,
                            "expected an object or a list of objects behind `<<`",
                        ));
                    }
                },
                Some((key, at, false)) => {
                    members.push(Member { key: key.into(), position: Some(at), value: node })
                }
                None => {}
            },
        }
        Ok(())
    }
}

fn close(open: Open) -> Result<Node<'static>, YamlError> {
    let value = match open.content {
        Content::List(entries) => Value::List(entries),
        Content::Object { mut members, merged, .. } => {
            // A key of the object itself wins over a merged one, an earlier merged object over a later one.
            for node in merged {
                let Value::Object(more) = node.value else { continue };
                let new: Vec<Member> =
                    more.into_iter().filter(|m| members.iter().all(|own| own.key != m.key)).collect();
                members.extend(new);
            }
            Value::Object(members)
        }
    };
    Ok(Node { value, position: Some(open.position) })
}

fn too_deep(at: Position) -> YamlError {
    YamlError::new(at, format!("nested deeper than {MAX_DEPTH} levels"))
}

fn unknown_tag(tag: &Tag, at: Position) -> YamlError {
    YamlError::new(at, format!("the tag `{tag}` has no meaning here"))
}

fn size(node: &Node) -> usize {
    1 + node.entries().iter().map(size).sum::<usize>()
        + node.members().iter().map(|m| size(&m.value)).sum::<usize>()
}

fn depth(node: &Node) -> usize {
    let entries = node.entries().iter().map(depth).max();
    let members = node.members().iter().map(|m| depth(&m.value)).max();
    1 + entries.max(members).unwrap_or(0)
}

#[cfg(test)]
mod tests;
