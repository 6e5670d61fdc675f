//! Where in a document something stands: `items[0].spec.http[1].headers["x-user"]`.

use std::fmt;

/// One step from a value into one of its members.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Segment {
    /// A field that the schema names, or an object member whose key is a plain word.
    Field(String),
    /// An entry of a list, counted from 0.
    Index(usize),
}

/// The way from the root of a document to one value.
///
/// Printed as a JSON path without the leading `$`; keys which are not plain words are quoted: `headers["x-user"].exact`.
/// The root itself prints as `.`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(Vec<Segment>);

impl Path {
    /// The root of a document.
    #[must_use]
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// The way by these steps, outermost first.
    pub(crate) const fn of(segments: Vec<Segment>) -> Self {
        Self(segments)
    }

    /// The steps, outermost first.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// How many steps lie between the root and the value.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.0.len()
    }

    /// The path of the member `name` of this value.
    #[must_use]
    pub fn field(&self, name: &str) -> Self {
        let mut path = self.clone();
        path.push_field(name);
        path
    }

    /// The path of the entry `index` of this value.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        let mut path = self.clone();
        path.push_index(index);
        path
    }

    /// The path cut to its first `depth` steps.
    #[must_use]
    pub fn ancestor(&self, depth: usize) -> Self {
        Self(self.0.iter().take(depth).cloned().collect())
    }

    /// This path as seen from below its first `depth` steps.
    #[must_use]
    pub fn below(&self, depth: usize) -> Self {
        Self(self.0.iter().skip(depth).cloned().collect())
    }

    /// Whether this is `other` or stands somewhere in it.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    /// Steps into the member `name`.
    pub fn push_field(&mut self, name: &str) {
        self.0.push(Segment::Field(name.to_owned()));
    }

    /// Steps into the entry `index`.
    pub fn push_index(&mut self, index: usize) {
        self.0.push(Segment::Index(index));
    }

    /// Steps out again.
    pub fn pop(&mut self) {
        self.0.pop();
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str(".");
        }
        for (i, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Field(name) if is_word(name) => {
                    write!(f, "{}{name}", if i == 0 { "" } else { "." })?;
                }
                Segment::Field(name) => write!(f, "[{name:?}]")?,
            }
        }
        Ok(())
    }
}

fn is_word(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_like_the_way_people_write_it() {
        let path = Path::root().field("http").index(0).field("headers").field("x-user").field("exact");
        assert_eq!(path.to_string(), r#"http[0].headers["x-user"].exact"#);
        assert_eq!(path.ancestor(2).to_string(), "http[0]");
        assert_eq!(path.below(2).to_string(), r#"headers["x-user"].exact"#);
        assert_eq!(Path::root().to_string(), ".");
    }
}
