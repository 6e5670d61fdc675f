//! A document as it was written: every key, also the second of two equal ones, and where each value stands.
//!
//! JSON and YAML both become a [`Node`]; the resources are decoded from it. `serde` alone would keep the last of two equal
//! keys without a word and would stop at the first mistake.

use crate::path::{Path, Segment};
use reader::Unread;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

mod reader;

pub use serde_json::Number;

/// A place in a text file, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The column, in characters.
    pub column: u32,
}

/// A value and where it was written; documents that arrive as a buffer have no positions.
///
/// Texts are borrowed from the buffer where they stand in it as they are, which is nearly always.
#[derive(Debug, Clone, PartialEq)]
pub struct Node<'t> {
    /// The value itself.
    pub value: Value<'t>,
    /// Where it begins.
    pub position: Option<Position>,
}

/// What a document can hold.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'t> {
    /// `null`, or a YAML key with nothing behind it.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// Any number.
    Number(Number),
    /// Text.
    String(Cow<'t, str>),
    /// An ordered list.
    List(Vec<Node<'t>>),
    /// The same, for a decoder to read: only plugin configurations have them.
    Unread(Unread<'t>),
    /// Members in the order in which they were written, equal keys included.
    Object(Vec<Member<'t>>),
}

/// One `key: value` of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Member<'t> {
    /// The key.
    pub key: Cow<'t, str>,
    /// Where the key begins.
    pub position: Option<Position>,
    /// The value behind it.
    pub value: Node<'t>,
}

impl<'t> Node<'t> {
    /// A value without a place.
    #[must_use]
    pub const fn new(value: Value<'t>) -> Self {
        Self { value, position: None }
    }

    /// Reads one JSON document.
    ///
    /// # Errors
    /// What is not JSON, with line and column, and anything but white space after the document's end.
    pub fn from_json(text: &'t [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text)
    }

    /// The same with long lists left unread until they are decoded, entry by entry, so that the tree is never in memory as
    /// a whole.
    ///
    /// # Errors
    /// As [`Node::from_json`].
    pub fn from_long_json(text: &'t [u8]) -> Result<Self, serde_json::Error> {
        reader::read(text).map_or_else(|| Self::from_json(text), Ok)
    }

    /// The same document, independent of the buffer that it was read from.
    #[must_use]
    pub fn into_owned(self) -> Node<'static> {
        let value = match self.value {
            Value::Null => Value::Null,
            Value::Bool(value) => Value::Bool(value),
            Value::Number(number) => Value::Number(number),
            Value::String(text) => Value::String(Cow::Owned(text.into_owned())),
            Value::List(entries) => Value::List(entries.into_iter().map(Node::into_owned).collect()),
            Value::Unread(list) => Value::List(list.entries().map(Node::into_owned).collect()),
            Value::Object(members) => Value::Object(members.into_iter().map(Member::into_owned).collect()),
        };
        Node { value, position: self.position }
    }

    /// The first member called `key`, if this is an object that has one.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.members().iter().find(|member| member.key == key).map(|member| &member.value)
    }

    /// The text, if this is a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The entries, if this is a list.
    #[must_use]
    pub fn entries(&self) -> &[Self] {
        match &self.value {
            Value::List(entries) => entries,
            _ => &[],
        }
    }

    /// The members, if this is an object.
    #[must_use]
    pub fn members(&self) -> &[Member<'t>] {
        match &self.value {
            Value::Object(members) => members,
            _ => &[],
        }
    }

    /// What this is, in the words of an error: `a string`, `an object`.
    #[must_use]
    pub const fn describe(&self) -> &'static str {
        match &self.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::List(_) | Value::Unread(_) => "a list",
            Value::Object(_) => "an object",
        }
    }

    /// Where the value at `path` stands: its key if it has one, else its first character; when the path leads to nothing
    /// (a missing field), the innermost value on the way that exists.
    #[must_use]
    pub fn locate(&self, path: &Path) -> Option<Position> {
        let mut node = self;
        let mut found = self.position;
        for segment in path.segments() {
            let (next, position) = match segment {
                Segment::Index(index) => match node.entries().get(*index) {
                    Some(entry) => (entry, entry.position),
                    None => break,
                },
                // The last of equal keys: the one an error about a duplicate is about.
                Segment::Field(name) => match node.members().iter().rev().find(|m| same_key(&m.key, name)) {
                    Some(member) => (&member.value, member.position),
                    None => break,
                },
            };
            node = next;
            found = position.or(found);
        }
        found
    }
}

impl Member<'_> {
    fn into_owned(self) -> Member<'static> {
        let Self { key, position, value } = self;
        Member { key: Cow::Owned(key.into_owned()), position, value: value.into_owned() }
    }
}

/// Proto JSON takes `lowerCamelCase` and the original `snake_case` for the same field.
fn same_key(written: &str, canonical: &str) -> bool {
    written == canonical || (written.contains('_') && crate::decode::camel_case(written) == canonical)
}

impl serde::Serialize for Node<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.value {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Number(value) => value.serialize(serializer),
            Value::String(value) => serializer.serialize_str(value),
            Value::List(entries) => serializer.collect_seq(entries),
            Value::Unread(list) => serializer.collect_seq(list.entries()),
            Value::Object(members) => serializer.collect_map(members.iter().map(|m| (&m.key, &m.value))),
        }
    }
}

impl<'de> Deserialize<'de> for Node<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor).map(Self::new)
    }
}

/// A key of an object.
struct Key<'t>(Cow<'t, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(KeyVisitor)
    }
}

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Key<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E: de::Error>(self, key: &'de str) -> Result<Key<'de>, E> {
        Ok(Key(Cow::Borrowed(key)))
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<Key<'de>, E> {
        Ok(Key(Cow::Owned(key.to_owned())))
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value<'de>, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value<'de>, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value<'de>, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value<'de>, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number must be finite"))
    }

    fn visit_borrowed_str<E: de::Error>(self, value: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::String(Cow::Borrowed(value)))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value<'de>, E> {
        Ok(Value::String(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value<'de>, A::Error> {
        let mut entries = Vec::with_capacity(seq.size_hint().unwrap_or(0));
        while let Some(entry) = seq.next_element()? {
            entries.push(entry);
        }
        // Most lists are short, and all of them stay until the document is read.
        entries.shrink_to_fit();
        Ok(Value::List(entries))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some((Key(key), value)) = map.next_entry()? {
            members.push(Member { key, position: None, value });
        }
        members.shrink_to_fit();
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_keys_are_both_kept() {
        let node = Node::from_json(br#"{"a": 1, "a": 2}"#).unwrap();
        assert_eq!(node.members().len(), 2);
        assert_eq!(serde_json::to_string(&node).unwrap(), r#"{"a":1,"a":2}"#);
    }

    #[test]
    fn bytes_after_the_end_are_refused() {
        let error = Node::from_json(b"{} x").unwrap_err();
        assert_eq!(error.to_string(), "trailing characters at line 1 column 4");
    }
}
