//! What stands in Markdown files and has to be true: examples, commands, links.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{Context, Error, Result, modules::repository};

/// A Markdown file of the repository.
#[derive(Debug)]
pub struct Document {
    path: PathBuf,
    text: String,
}

impl Document {
    /// Reads a file; the path counts from the root of the repository.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = repository().join(path);
        let text = fs::read_to_string(&path).context(path.display())?;
        Ok(Self { path, text })
    }

    /// The fenced blocks of a language, in order.
    pub fn blocks(&self, language: &str) -> Vec<String> {
        let opening = format!("```{language}");
        let mut blocks = Vec::new();
        let mut open: Option<String> = None;
        for line in self.text.lines() {
            match &mut open {
                None if line.trim() == opening => open = Some(String::new()),
                None => {}
                Some(_) if line.trim() == "```" => blocks.extend(open.take()),
                Some(block) => *block += &format!("{line}\n"),
            }
        }
        blocks
    }

    /// The only fenced block of a language.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub fn block(&self, language: &str) -> Result<String> {
        match <[String; 1]>::try_from(self.blocks(language)) {
            Ok([block]) => Ok(block),
            Err(blocks) => Err(Error::new(format!(
                "{}: expected one block of {language}, found {}",
                self.path.display(),
                blocks.len()
            ))),
        }
    }

    /// The links to other places of the repository that lead nowhere: to no file, or to no heading of it.
    ///
    /// # Errors
    /// A file that is linked to cannot be read.
    pub fn broken_links(&self) -> Result<Vec<String>> {
        let mut broken = Vec::new();
        for target in self.links() {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((&target, ""));
            let path = self.path.parent().unwrap_or(&self.path).join(file);
            let leads = match (file, heading) {
                (_, "") => path.exists(),
                ("", _) => self.has_heading(heading),
                _ => path.is_file() && Self::read(&path)?.has_heading(heading),
            };
            if !leads {
                broken.push(format!("{}: {target}", self.path.display()));
            }
        }
        Ok(broken)
    }

    /// The targets of all links outside of fenced blocks.
    pub fn links(&self) -> Vec<String> {
        let mut rest = self.prose();
        let mut links = Vec::new();
        while let Some((_, after)) = rest.split_once("](") {
            let Some((target, next)) = after.split_once(')') else { break };
            links.push(target.to_owned());
            rest = next.to_owned();
        }
        links
    }

    /// Whether there is a heading that links name so.
    fn has_heading(&self, wanted: &str) -> bool {
        let name = |title: &str| {
            let letters =
                title.trim().chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
            letters.collect::<String>().to_lowercase().replace(' ', "-")
        };
        let prose = self.prose();
        let mut headings = prose.lines().filter(|line| line.starts_with('#'));
        headings.any(|line| name(line.trim_start_matches('#')) == wanted)
    }

    /// Everything but fenced blocks.
    fn prose(&self) -> String {
        let mut fenced = false;
        let outside = |line: &&str| {
            let fence = line.trim_start().starts_with("```");
            fenced ^= fence;
            !fenced && !fence
        };
        self.text.lines().filter(outside).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> Document {
        Document { path: repository().join("README.md"), text: text.to_owned() }
    }

    #[test]
    fn blocks_are_told_apart_by_language() {
        let read = document("a\n```sh\none\n\ntwo\n```\n```json\n{}\n```\n```sh\nthree\n```\n");
        assert_eq!(read.blocks("sh"), ["one\n\ntwo\n", "three\n"]);
        assert_eq!(read.block("json").unwrap(), "{}\n");
        let error = read.block("sh").unwrap_err().to_string();
        assert!(error.ends_with("README.md: expected one block of sh, found 2"), "{error}");
        assert!(read.block("yaml").unwrap_err().to_string().ends_with("found 0"));
    }

    #[test]
    fn a_link_to_no_file_or_no_heading_is_broken() {
        let text = "# One, two\n[a](Makefile) [b](nowhere.md) [c](#one-two) [d](#three)\n[e](https://istio.io/x)\n\
                    ```\n[f](nothing)\n```\n";
        let read = document(text);
        let file = read.path.display();
        assert_eq!(read.broken_links().unwrap(), [format!("{file}: nowhere.md"), format!("{file}: #three")]);
    }
}
