//! Named values in the order of their names, in memory of their own size.

use crate::decode::{Context, Decode, DecodeField};
use crate::node::{Node, Value};
use crate::problem::ProblemKind;

/// A map of few entries, as most objects are: the standard library's takes memory for eleven with the first.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Map<V>(Vec<(String, V)>);

/// The entries of a [`Map`].
pub type Entries<'m, V> =
    std::iter::Map<std::slice::Iter<'m, (String, V)>, fn(&(String, V)) -> (&String, &V)>;

impl<V> Default for Map<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<V> Map<V> {
    /// Whether there are no entries.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many entries there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// The entries, in the order of their names.
    pub fn iter(&self) -> Entries<'_, V> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    /// The names, in their order.
    pub fn keys(&self) -> impl Iterator<Item = &String> {
        self.0.iter().map(|(name, _)| name)
    }

    /// The values, in the order of their names.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    /// The value of `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&V> {
        self.find(name).ok().and_then(|at| self.0.get(at)).map(|(_, value)| value)
    }

    /// Whether there is a value of that name.
    #[must_use]
    pub fn contains_key(&self, name: &str) -> bool {
        self.find(name).is_ok()
    }

    /// Adds a value, in place of an earlier one of that name.
    pub fn insert(&mut self, name: String, value: V) {
        match self.find(&name) {
            Ok(at) => {
                if let Some(entry) = self.0.get_mut(at) {
                    entry.1 = value;
                }
            }
            Err(at) => self.0.insert(at, (name, value)),
        }
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(other, _)| other.as_str().cmp(name))
    }
}

impl<'m, V> IntoIterator for &'m Map<V> {
    type Item = (&'m String, &'m V);
    type IntoIter = Entries<'m, V>;

    fn into_iter(self) -> Entries<'m, V> {
        self.iter()
    }
}

impl<V> FromIterator<(String, V)> for Map<V> {
    fn from_iter<I: IntoIterator<Item = (String, V)>>(entries: I) -> Self {
        let mut map = Self::default();
        for (name, value) in entries {
            map.insert(name, value);
        }
        map
    }
}

impl<V: Decode> DecodeField for Map<V> {
    fn decode_field(node: Option<&Node>, name: &str, cx: &mut Context) -> Self {
        Option::<Self>::decode_field(node, name, cx).unwrap_or_default()
    }
}

impl<V: Decode> Decode for Map<V> {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let Value::Object(members) = &node.value else {
            cx.wrong_type("an object", node);
            return None;
        };
        let mut map = Self(Vec::with_capacity(members.len()));
        for member in members {
            cx.in_field(&member.key, |cx| {
                if map.contains_key(&member.key) {
                    cx.error(ProblemKind::DuplicateKey, format!("duplicate key `{}`", member.key));
                } else if let Some(value) = V::decode(&member.value, cx) {
                    map.insert(member.key.clone().into_owned(), value);
                }
            });
        }
        Some(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_in_the_order_of_their_names() {
        let mut cx = Context::new();
        let node = Node::from_json(br#"{"b": "1", "a": "2", "c": "3", "b": "4"}"#).unwrap();
        let mut map = Map::<String>::decode(&node, &mut cx).unwrap();
        assert_eq!(cx.into_problems().to_string(), "b: duplicate key `b`\n");
        assert_eq!(map.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
        map.insert("b".to_owned(), "5".to_owned());
        assert_eq!((map.len(), map.get("b").map(String::as_str), map.get("d")), (3, Some("5"), None));
    }
}
