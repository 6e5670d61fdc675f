//! The parts of a document that a run writes, each between two lines of its own: what a run does not measure stays.

/// A part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Tables of time and memory.
    Times,
    /// Tables of instructions.
    Counts,
    /// What was promised.
    Promises,
}

impl Section {
    /// The heading that it gets in a document that has none.
    const fn heading(self) -> &'static str {
        match self {
            Self::Times => "Time",
            Self::Counts => "Instructions",
            Self::Promises => "What was promised",
        }
    }

    fn begin(self) -> String {
        format!("<!-- {}: made by `make bench UPDATE=1` from here -->", self.heading())
    }

    fn end(self) -> String {
        format!("<!-- {}: to here -->", self.heading())
    }

    /// Whether a text has it.
    pub fn is_in(self, text: &str) -> bool {
        self.split(text).is_some()
    }

    /// The text with this body in the place of an older one, else behind everything.
    pub fn put(self, text: &str, body: &str) -> String {
        let (begin, end) = (self.begin(), self.end());
        match self.split(text) {
            Some((before, after)) => format!("{before}{begin}\n\n{body}\n{end}{after}"),
            None => {
                let gap = if text.is_empty() { "" } else { "\n" };
                format!("{text}{gap}## {}\n\n{begin}\n\n{body}\n{end}\n", self.heading())
            }
        }
    }

    fn split(self, text: &str) -> Option<(&str, &str)> {
        let (before, rest) = text.split_once(&self.begin())?;
        Some((before, rest.split_once(&self.end())?.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_tables_take_the_place_of_the_old_ones() {
        let first = Section::Times.put("# Speed\n", "one\n");
        assert!(first.starts_with("# Speed\n\n## Time\n") && first.contains("\n\none\n\n<!-- T"), "{first}");
        let both = Section::Counts.put(&first, "four\n");
        assert!(both.starts_with(&first) && Section::Counts.is_in(&both) && !Section::Counts.is_in(&first));
        assert_eq!(Section::Times.put(&both, "two\n"), both.replace("one", "two"));
    }
}
