//! From a [`Node`] to a typed resource, with every mistake reported and none twice.
//!
//! The rules are those of proto JSON as Istio reads it: `lowerCamelCase` or `snake_case` keys, enums by name or number,
//! `null` for an absent field. Stricter in one point: what Istio would ignore, unknown and duplicate keys, is an error.

use crate::node::{Node, Value};
use crate::path::Path;
use crate::problem::{Problem, ProblemKind, Problems};
use std::borrow::Cow;
use std::collections::BTreeMap;
use trail::Trail;

mod scalar;
mod trail;
pub use scalar::{Bytes, Opaque, Timespan};

/// A type that can be read from a document.
pub trait Decode: Sized {
    /// Reads `node`; on a mistake says so in `cx` and gives `None`.
    fn decode(node: &Node, cx: &mut Context) -> Option<Self>;
}

/// Where the reading is, and what was wrong so far.
#[derive(Debug, Default)]
pub struct Context {
    trail: Trail,
    problems: Problems,
    /// The objects that enclose the current value: their depth in the path and the fields they know.
    enclosing: Vec<(usize, &'static [&'static str])>,
}

impl Context {
    /// A reading that starts at the root.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A reading that starts at `path`.
    #[must_use]
    pub fn at(path: Path) -> Self {
        Self { trail: Trail::from(&path), ..Self::default() }
    }

    /// What was wrong.
    #[must_use]
    pub fn into_problems(self) -> Problems {
        self.problems
    }

    /// Where the reading is.
    #[must_use]
    pub fn path(&self) -> Path {
        self.trail.path()
    }

    /// Reports an error at the current place.
    pub fn error(&mut self, kind: ProblemKind, message: impl Into<String>) -> &mut Problem {
        self.problems.error(self.trail.path(), kind, message)
    }

    /// Reports a value of the wrong type at the current place.
    pub fn wrong_type(&mut self, expected: &str, node: &Node) {
        self.error(ProblemKind::WrongType, format!("expected {expected}, found {}", node.describe()));
    }

    /// The problem reported last.
    fn last_problem(&mut self) -> Option<&mut Problem> {
        self.problems.last_mut()
    }

    /// Runs `read` one field further in.
    pub fn in_field<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        self.trail.push_field(name);
        let result = read(self);
        self.trail.pop();
        result
    }

    /// Runs `read` one list entry further in.
    pub fn in_index<T>(&mut self, index: usize, read: impl FnOnce(&mut Self) -> T) -> T {
        self.trail.push_index(index);
        let result = read(self);
        self.trail.pop();
        result
    }

    /// Opens an object that knows the fields `known`; reports unknown and duplicate keys. The caller reads the fields and
    /// then calls [`Context::close`].
    pub fn open<'n>(&mut self, node: &'n Node<'n>, known: &'static [&'static str]) -> Option<Fields<'n>> {
        let Value::Object(members) = &node.value else {
            self.wrong_type("an object", node);
            return None;
        };
        let mut fields = Fields { few: [None; FEW], more: vec![None; known.len().saturating_sub(FEW)] };
        for member in members {
            let key = match member.key.contains('_') {
                true => Cow::Owned(camel_case(&member.key)),
                false => Cow::Borrowed(&*member.key),
            };
            let slot = known.iter().position(|name| **name == *key);
            match slot.and_then(|index| fields.slot(index)) {
                Some(slot @ None) => *slot = Some(&member.value),
                Some(Some(_)) => self.in_field(&key, |cx| {
                    cx.error(ProblemKind::DuplicateKey, format!("duplicate key `{}`", member.key));
                }),
                None => self.unknown_field(&member.key, known),
            }
        }
        self.enclosing.push((self.trail.depth(), known));
        Some(fields)
    }

    /// Closes the object opened last.
    pub fn close(&mut self) {
        self.enclosing.pop();
    }

    fn unknown_field(&mut self, key: &str, known: &[&str]) {
        let home =
            self.enclosing.iter().rev().find(|(_, fields)| fields.contains(&key)).map(|(depth, _)| *depth);
        let near = known.iter().find(|name| is_near(name, key)).map(|name| (*name).to_owned());
        let home = home.map(|depth| self.trail.path().ancestor(depth).field(key));
        self.in_field(key, |cx| match (home, near) {
            (Some(home), _) => {
                cx.error(ProblemKind::MisplacedField, format!("unknown field; it belongs in {home}"));
            }
            (None, Some(near)) => {
                cx.error(ProblemKind::UnknownField, "unknown field").help(format!("did you mean `{near}`?"));
            }
            (None, None) => {
                cx.error(ProblemKind::UnknownField, "unknown field");
            }
        });
    }
}

/// The members of one object, sorted into the fields that its type knows.
#[derive(Debug)]
pub struct Fields<'n> {
    few: [Option<&'n Node<'n>>; FEW],
    /// Those for which `few` has no room.
    more: Vec<Option<&'n Node<'n>>>,
}

/// As many fields as nearly all types have: reading one of their objects allocates nothing for it.
const FEW: usize = 16;

impl<'n> Fields<'n> {
    /// The value of the field at `index` of the known names.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&'n Node<'n>> {
        match self.few.get(index) {
            Some(slot) => *slot,
            None => self.more.get(index - FEW).copied().flatten(),
        }
    }

    fn slot(&mut self, index: usize) -> Option<&mut Option<&'n Node<'n>>> {
        match self.few.get_mut(index) {
            Some(slot) => Some(slot),
            None => self.more.get_mut(index - FEW),
        }
    }
}

/// How a struct's field type reads a member that may be absent.
pub trait DecodeField: Sized {
    /// Reads the field called `name`.
    fn decode_field(node: Option<&Node>, name: &str, cx: &mut Context) -> Self;
}

impl<T: Decode> DecodeField for Option<T> {
    fn decode_field(node: Option<&Node>, name: &str, cx: &mut Context) -> Self {
        let node = node.filter(|node| node.value != Value::Null)?;
        cx.in_field(name, |cx| T::decode(node, cx))
    }
}

impl<T: Decode> DecodeField for Vec<T> {
    fn decode_field(node: Option<&Node>, name: &str, cx: &mut Context) -> Self {
        Option::<Self>::decode_field(node, name, cx).unwrap_or_default()
    }
}

impl<T: Decode> DecodeField for BTreeMap<String, T> {
    fn decode_field(node: Option<&Node>, name: &str, cx: &mut Context) -> Self {
        Option::<Self>::decode_field(node, name, cx).unwrap_or_default()
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let mut read = Self::new();
        // Entries that fail are reported; they must not shift the index of those behind them in later problems, and they
        // do not, because a document with errors is never compiled.
        each_entry(node, cx, &mut |left, entry, cx| {
            if read.is_empty() {
                read.reserve_exact(left);
            }
            read.extend(T::decode(entry, cx));
        })?;
        Some(read)
    }
}

/// Visits each entry of a list, at its place, with how many entries are left; says so where there is no list.
pub fn each_entry(
    node: &Node,
    cx: &mut Context,
    visit: &mut dyn FnMut(usize, &Node, &mut Context),
) -> Option<()> {
    match &node.value {
        Value::List(entries) => {
            for (index, entry) in entries.iter().enumerate() {
                cx.in_index(index, |cx| visit(entries.len() - index, entry, cx));
            }
        }
        Value::Unread(list) => {
            for (index, entry) in list.entries().enumerate() {
                cx.in_index(index, |cx| visit(list.count() - index, &entry, cx));
            }
        }
        _ => {
            cx.wrong_type("a list", node);
            return None;
        }
    }
    Some(())
}

impl<T: Decode> Decode for BTreeMap<String, T> {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let Value::Object(members) = &node.value else {
            cx.wrong_type("an object", node);
            return None;
        };
        let mut map = Self::new();
        for member in members {
            cx.in_field(&member.key, |cx| {
                if map.contains_key(&*member.key) {
                    cx.error(ProblemKind::DuplicateKey, format!("duplicate key `{}`", member.key));
                } else if let Some(value) = T::decode(&member.value, cx) {
                    map.insert(member.key.clone().into_owned(), value);
                }
            });
        }
        Some(map)
    }
}

/// A value that may be written as `null`: only where Istio gives `null` a meaning of its own.
impl<T: Decode> Decode for Option<T> {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        match node.value {
            Value::Null => Some(None),
            _ => T::decode(node, cx).map(Some),
        }
    }
}

impl<T: Decode> Decode for Box<T> {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        T::decode(node, cx).map(Self::new)
    }
}

/// `max_age` as `maxAge`.
#[must_use]
pub(crate) fn camel_case(snake: &str) -> String {
    let mut camel = String::with_capacity(snake.len());
    let mut upper = false;
    for c in snake.chars() {
        match c {
            '_' => upper = true,
            c if upper => {
                camel.push(c.to_ascii_uppercase());
                upper = false;
            }
            c => camel.push(c),
        }
    }
    camel
}

/// Whether `written` is likely a slip for `known`: equal but for case, or at most two edits away.
fn is_near(known: &str, written: &str) -> bool {
    if known.eq_ignore_ascii_case(written) {
        return true;
    }
    let allowed = if known.len() < 5 { 1 } else { 2 };
    edit_distance(known.as_bytes(), written.as_bytes()) <= allowed
}

fn edit_distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (above, y) in row.iter().skip(1).zip(b) {
            let cost = (diagonal + usize::from(x != y)).min(above + 1).min(left + 1);
            diagonal = *above;
            left = cost;
            next.push(cost);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

/// Declares a struct of the wire model and how it is read: `"jsonName" => field: Type`.
///
/// Absent and `null` fields give `None`, an empty list or an empty map.
#[macro_export]
macro_rules! wire {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* $json:literal => $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct $name { $($(#[$field_meta])* pub $field: $type,)* }

        impl $name {
            /// The names of its fields, as they are written.
            pub const FIELDS: &'static [&'static str] = &[$($json),*];
        }

        impl $crate::decode::Decode for $name {
            fn decode(node: &$crate::node::Node, cx: &mut $crate::decode::Context) -> Option<Self> {
                #[allow(unused_variables, reason = "an object without fields reads none")]
                let fields = cx.open(node, Self::FIELDS)?;
                #[allow(unused_mut, unused_variables, reason = "an object without fields counts none")]
                let mut index = 0..;
                let read = Self {
                    $($field: $crate::decode::DecodeField::decode_field(
                        index.next().and_then(|index| fields.get(index)), $json, cx),)*
                };
                cx.close();
                Some(read)
            }
        }
    };
}
pub use wire;

/// Declares an enum of the wire model, read by proto name or number: `"NAME" = number => Variant`.
#[macro_export]
macro_rules! wire_enum {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$variant_meta:meta])* $text:literal = $number:literal => $variant:ident,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$variant_meta])* $variant,)* }

        impl $name {
            /// The name as it is written in a resource.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl $crate::decode::Decode for $name {
            fn decode(node: &$crate::node::Node, cx: &mut $crate::decode::Context) -> Option<Self> {
                const NAMES: &[&str] = &[$($text),*];
                match &node.value {
                    $crate::node::Value::String(text) => match &**text {
                        $($text => return Some(Self::$variant),)*
                        _ => {}
                    },
                    $crate::node::Value::Number(number) => match number.as_u64() {
                        $(Some($number) => return Some(Self::$variant),)*
                        _ => {}
                    },
                    _ => {
                        cx.wrong_type(&format!("one of {}", NAMES.join(", ")), node);
                        return None;
                    }
                }
                let found = serde_json::to_string(node).unwrap_or_default();
                let found = found.trim_matches('"');
                cx.error($crate::problem::ProblemKind::InvalidValue,
                    format!("expected one of {}, found `{found}`", NAMES.join(", ")));
                None
            }
        }
    };
}
pub use wire_enum;

#[cfg(test)]
mod tests;
