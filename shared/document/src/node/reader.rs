//! JSON as configurations are written, read in one go and with long lists left for later.
//!
//! What is unusual, and what is wrong, is not for this reader: it gives up, and `serde_json` reads the document or says why
//! not. So it takes nothing that `serde_json` refuses, and makes the same of what it takes.

use super::{Key, Member, Node, Value};
use std::borrow::Cow;

/// `serde_json` refuses documents deeper than 128; a list that is read later counts from where it stands.
const DEEPEST: u8 = 40;

/// How many lists inside each other are read later: the resources, and the rules of each.
const LATER: u8 = 2;

/// A list whose syntax was checked and whose entries have not been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unread<'t> {
    /// From behind its opening bracket.
    text: &'t str,
    count: usize,
    /// How many lists inside are read later, too.
    later: u8,
}

impl<'t> Unread<'t> {
    /// How many entries it has.
    pub(crate) const fn count(self) -> usize {
        self.count
    }

    /// Its entries, each made when it is asked for.
    pub(crate) fn entries(self) -> impl Iterator<Item = Node<'t>> {
        let mut reader = Reader::new(self.text);
        (0..self.count).map_while(move |_| {
            let entry = reader.value(self.later, DEEPEST)?;
            reader.next_is(b',');
            Some(entry)
        })
    }
}

/// The document in `text`, or `None` when `serde_json` is to be asked.
pub(super) fn read(text: &[u8]) -> Option<Node<'_>> {
    let mut reader = Reader::new(std::str::from_utf8(text).ok()?);
    let node = reader.value(LATER, DEEPEST)?;
    reader.space();
    reader.rest.is_empty().then_some(node)
}

struct Reader<'t> {
    text: &'t str,
    rest: &'t [u8],
    /// Members and entries of what is being read, so that each list takes memory once.
    members: Vec<Member<'t>>,
    entries: Vec<Node<'t>>,
}

impl<'t> Reader<'t> {
    const fn new(text: &'t str) -> Self {
        Self { text, rest: text.as_bytes(), members: Vec::new(), entries: Vec::new() }
    }

    /// Passes over white space.
    fn space(&mut self) {
        while let [b' ' | b'\n' | b'\r' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    /// Passes over white space and `byte`, if that is what follows.
    fn next_is(&mut self, byte: u8) -> bool {
        self.space();
        match self.rest {
            [first, rest @ ..] if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// Where the reading is.
    const fn at(&self) -> usize {
        self.text.len() - self.rest.len()
    }

    fn value(&mut self, later: u8, deepest: u8) -> Option<Node<'t>> {
        let deepest = deepest.checked_sub(1)?;
        self.space();
        let value = match self.rest.first()? {
            b'"' => Value::String(self.string()?),
            b'{' => self.object(later, deepest)?,
            b'[' => self.list(later, deepest)?,
            _ => return Node::from_json(self.word()).ok(),
        };
        Some(Node::new(value))
    }

    fn object(&mut self, later: u8, deepest: u8) -> Option<Value<'t>> {
        self.rest = self.rest.get(1..)?;
        let before = self.members.len();
        if !self.next_is(b'}') {
            loop {
                self.space();
                let key = self.string()?;
                if !self.next_is(b':') {
                    return None;
                }
                let value = self.value(later, deepest)?;
                self.members.push(Member { key, position: None, value });
                if !self.next_is(b',') {
                    break;
                }
            }
            if !self.next_is(b'}') {
                return None;
            }
        }
        Some(Value::Object(self.members.drain(before..).collect()))
    }

    fn list(&mut self, later: u8, deepest: u8) -> Option<Value<'t>> {
        if let Some(later) = later.checked_sub(1) {
            let text = self.text.get(self.at() + 1..)?;
            let count = self.check_list(deepest)?;
            return Some(Value::Unread(Unread { text, count, later }));
        }
        self.rest = self.rest.get(1..)?;
        let before = self.entries.len();
        if !self.next_is(b']') {
            loop {
                let entry = self.value(later, deepest)?;
                self.entries.push(entry);
                if !self.next_is(b',') {
                    break;
                }
            }
            if !self.next_is(b']') {
                return None;
            }
        }
        Some(Value::List(self.entries.drain(before..).collect()))
    }

    /// Passes over a value.
    fn check(&mut self, deepest: u8) -> Option<()> {
        let deepest = deepest.checked_sub(1)?;
        self.space();
        match self.rest.first()? {
            b'"' => self.string().map(|_| ()),
            b'{' => {
                self.rest = self.rest.get(1..)?;
                if self.next_is(b'}') {
                    return Some(());
                }
                loop {
                    self.space();
                    self.string()?;
                    if !self.next_is(b':') {
                        return None;
                    }
                    self.check(deepest)?;
                    if !self.next_is(b',') {
                        return self.next_is(b'}').then_some(());
                    }
                }
            }
            b'[' => self.check_list(deepest).map(|_| ()),
            _ => Node::from_json(self.word()).ok().map(|_| ()),
        }
    }

    /// Passes over a list and counts its entries.
    fn check_list(&mut self, deepest: u8) -> Option<usize> {
        self.rest = self.rest.get(1..)?;
        if self.next_is(b']') {
            return Some(0);
        }
        let mut count = 0;
        loop {
            self.check(deepest)?;
            count += 1;
            if !self.next_is(b',') {
                return self.next_is(b']').then_some(count);
            }
        }
    }

    /// A text in quotes.
    fn string(&mut self) -> Option<Cow<'t, str>> {
        let start = self.at();
        let [b'"', inside @ ..] = self.rest else { return None };
        let plain = inside.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..0x20))?;
        let (_, end) = inside.split_at_checked(plain)?;
        if let [b'"', rest @ ..] = end {
            self.rest = rest;
            return self.text.get(start + 1..start + 1 + plain).map(Cow::Borrowed);
        }
        let mut rest = end;
        loop {
            rest = match rest {
                [b'"', rest @ ..] => {
                    let Key(text) =
                        serde_json::from_slice(self.rest.get(..self.rest.len() - rest.len())?).ok()?;
                    self.rest = rest;
                    return Some(text);
                }
                [b'\\', _, rest @ ..] | [_, rest @ ..] => rest,
                [] => return None,
            };
        }
    }

    /// Everything up to what can stand behind a number or a literal.
    fn word(&mut self) -> &'t [u8] {
        let is_end = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\n' | b'\r' | b'\t');
        let length = self.rest.iter().position(is_end).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, &[]));
        self.rest = rest;
        word
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same with nothing left for later.
    fn all(node: Node<'_>) -> Node<'_> {
        let value = match node.value {
            Value::Unread(list) => Value::List(list.entries().map(all).collect()),
            Value::List(entries) => Value::List(entries.into_iter().map(all).collect()),
            Value::Object(members) => {
                let members = members.into_iter();
                Value::Object(members.map(|member| Member { value: all(member.value), ..member }).collect())
            }
            value => value,
        };
        Node::new(value)
    }

    const WRITTEN: &[&str] = &[
        r#"{"items":[{"a":[1,{"b":[null,true,[],{}]}]},{"c":"\u00e9\"\\d+"}],"z":-1.5e3}"#,
        " [ { \"a\" : [ \"b\" , 2 ] , \"a\" : { } } , [ [ [ 3 ] ] ] ]\r\n\t",
        "\"text\"",
        "18446744073709551616",
        "{\"\u{e4}\":[\"\u{1f600}\",\"\\ud83d\\ude00\"]}",
    ];

    #[test]
    fn a_document_is_read_as_serde_reads_it() {
        for text in WRITTEN {
            let read = read(text.as_bytes()).map(all);
            assert_eq!(read, Some(Node::from_json(text.as_bytes()).unwrap()), "{text}");
        }
    }

    /// Every document with each byte left out, doubled, or replaced by each that means something.
    #[test]
    fn nothing_is_taken_that_serde_refuses() {
        for text in WRITTEN {
            let text = text.as_bytes();
            for at in 0..text.len() {
                let changed = |with: &[u8]| [&text[..at], with, &text[at + 1..]].concat();
                let bytes = b"{}[]\",:\\ 0x-.e\x1f\x00\xff\n".iter().map(std::slice::from_ref);
                for with in bytes.chain([&[][..], &[text[at], text[at]]]) {
                    let changed = changed(with);
                    if let Some(node) = read(&changed) {
                        let expected = Node::from_json(&changed);
                        let shown = String::from_utf8_lossy(&changed);
                        assert_eq!(
                            all(node),
                            expected.unwrap_or_else(|error| panic!("{shown}: {error}")),
                            "{shown}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_too_deep_is_left_to_serde() {
        for depth in [30, 39, 41, 127, 128, 200, 100_000] {
            for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
                let text = format!("{}1{}", open.repeat(depth), close.repeat(depth));
                assert_eq!(read(text.as_bytes()).is_some(), depth < 40, "{depth}");
            }
        }
    }
}
