//! Files, folders and standard input as resources, each problem with a way back to its line.

mod reading;

use crate::finding::Finding;
use crate::mesh_config;
use mesh_policy_istio::node::{Node, Position};
use mesh_policy_istio::path::{Path, Segment};
use mesh_policy_istio::problem::{Problem, ProblemKind, Problems};
use mesh_policy_istio::resource::Resource;
use reading::collect;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path as FilePath, PathBuf};

/// The name of standard input in findings.
pub const STDIN: &str = "<stdin>";

/// The first step of every resource's path; the second is its number among all that was read.
const ROOT: &str = "documents";

/// An input that could not be read at all.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The system refused.
    #[error("cannot read `{}`: {source}", .path.display())]
    Unreadable {
        /// What was to be read.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A folder without any file that could hold resources.
    #[error("no *.yaml, *.yml or *.json file in `{}`", .0.display())]
    EmptyFolder(PathBuf),
}

/// Everything that was read, also what is wrong.
#[derive(Debug, Default)]
pub struct Sources {
    files: Vec<File>,
    documents: Vec<Document>,
    resources: Vec<Resource>,
    findings: Vec<Finding>,
    mesh_config: Option<mesh_config::Placed>,
}

#[derive(Debug)]
struct File {
    name: String,
    /// Numbers and booleans as they were written.
    written: BTreeMap<Position, String>,
}

/// One resource as it was written: a document, or an entry of a List.
#[derive(Debug)]
struct Document {
    file: usize,
    node: Node<'static>,
    /// `VirtualService shop/customers`, as far as it could be read.
    label: Option<String>,
    /// Whether it was read without an error. What was not must not be judged further: entries may be missing.
    sound: bool,
}

impl Sources {
    /// Reads files, folders (all `*.yaml`, `*.yml` and `*.json` below them, sorted) and, for `-`, `stdin`.
    ///
    /// What is wrong inside the texts is no error here but a finding.
    ///
    /// # Errors
    /// An input that does not exist or cannot be read, or a folder without resources.
    pub fn load<P: AsRef<FilePath>>(inputs: &[P], stdin: &mut dyn Read) -> Result<Self, LoadError> {
        let mut sources = Self::default();
        for input in inputs {
            let input = input.as_ref();
            let unreadable = |source| LoadError::Unreadable { path: input.to_owned(), source };
            if input == FilePath::new("-") {
                let mut bytes = Vec::new();
                stdin.read_to_end(&mut bytes).map_err(unreadable)?;
                sources.add_bytes(STDIN, bytes);
                continue;
            }
            let files = files_of(input)?;
            for path in files {
                let bytes = std::fs::read(&path)
                    .map_err(|source| LoadError::Unreadable { path: path.clone(), source })?;
                sources.add_bytes(&path.display().to_string(), bytes);
            }
        }
        sources.report_duplicates();
        Ok(sources)
    }

    /// The files that [`load`](Self::load) would read, without standard input.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn files<P: AsRef<FilePath>>(inputs: &[P]) -> Result<Vec<PathBuf>, LoadError> {
        let inputs = inputs.iter().map(AsRef::as_ref).filter(|input| *input != FilePath::new("-"));
        let files: Vec<Vec<PathBuf>> = inputs.map(files_of).collect::<Result<_, _>>()?;
        Ok(files.concat())
    }

    /// Reads one text.
    #[must_use]
    pub fn from_text(name: &str, text: &str) -> Self {
        let mut sources = Self::default();
        sources.add_text(name, text);
        sources.report_duplicates();
        sources
    }

    /// Reads the mesh configuration, which holds for all proxies: a MeshConfig, or the ConfigMap or IstioOperator with it.
    ///
    /// # Errors
    /// The file cannot be read. What is wrong in it is a finding.
    pub fn add_mesh_config(&mut self, file: &FilePath) -> Result<(), LoadError> {
        let text = std::fs::read_to_string(file)
            .map_err(|source| LoadError::Unreadable { path: file.to_owned(), source })?;
        self.add_mesh_config_text(&file.display().to_string(), &text);
        Ok(())
    }

    /// The mesh configuration, when one was read without an error.
    pub(crate) const fn mesh_config(&self) -> Option<&mesh_config::Placed> {
        self.mesh_config.as_ref()
    }

    /// The resources that could be read, in the order of the input.
    #[must_use]
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// The resources that were read without an error: those which can be judged.
    pub fn sound(&self) -> impl Iterator<Item = &Resource> {
        self.resources.iter().filter(|r| self.document(&r.path).is_some_and(|document| document.sound))
    }

    /// What is wrong with the texts: not YAML, unknown fields, wrong types, duplicate resources.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The names of the files, in the order in which they were read.
    pub fn file_names(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|file| file.name.as_str())
    }

    /// The resource as it was written.
    #[must_use]
    pub fn written(&self, resource: &Resource) -> Option<&Node<'static>> {
        self.document(&resource.path).map(|document| &document.node)
    }

    /// Where a resource stands: `shop.yaml:7`.
    #[must_use]
    pub fn place(&self, resource: &Resource) -> String {
        let Some(document) = self.document(&resource.path) else { return String::new() };
        let name = self.files.get(document.file).map_or("", |file| file.name.as_str());
        match document.node.position {
            Some(position) => format!("{name}:{}", position.line),
            None => name.to_owned(),
        }
    }

    /// Gives a problem of one of these resources its file, line and resource.
    #[must_use]
    pub fn finding(&self, problem: &Problem) -> Finding {
        let Some(document) = self.document(&problem.path) else {
            return Finding {
                file: String::new(),
                line: None,
                column: None,
                resource: None,
                path: problem.path.to_string(),
                severity: problem.severity,
                code: problem.kind.code(),
                message: self.relative(&problem.message, None),
                help: problem.help.clone(),
            };
        };
        let path = problem.path.below(2);
        let mut finding = self.located(document.file, &document.node, &path, problem);
        finding.resource = document.label.clone();
        finding.message = self.relative(&problem.message, number(&problem.path));
        finding.help = finding.help.map(|help| self.relative(&help, number(&problem.path)));
        finding
    }

    /// [`Sources::finding`] for each, in the order of the input.
    #[must_use]
    pub fn findings_of(&self, problems: &Problems) -> Vec<Finding> {
        problems.iter().map(|problem| self.finding(problem)).collect()
    }

    /// Sorts by place and drops what is said twice.
    pub(crate) fn in_order(&self, mut findings: Vec<Finding>) -> Vec<Finding> {
        let file = |finding: &Finding| self.files.iter().position(|file| file.name == finding.file);
        findings.sort_by_cached_key(|finding| (file(finding), finding.line, finding.column));
        let mut unique: Vec<Finding> = Vec::with_capacity(findings.len());
        for finding in findings {
            if !unique.contains(&finding) {
                unique.push(finding);
            }
        }
        unique
    }

    fn document(&self, path: &Path) -> Option<&Document> {
        self.documents.get(number(path)?)
    }

    fn located(&self, file: usize, node: &Node, path: &Path, problem: &Problem) -> Finding {
        let position = node.locate(path);
        let file = self.files.get(file);
        let mut help = problem.help.clone();
        // `version: 1.10` must not be answered with `quote it: "1.1"`.
        if problem.kind == ProblemKind::WrongType
            && help.as_ref().is_some_and(|help| help.starts_with("quote it"))
            && let Some(at) = value_at(node, path).and_then(|value| value.position)
            && let Some(text) = file.and_then(|file| file.written.get(&at))
        {
            help = Some(format!("quote it: \"{text}\""));
        }
        Finding {
            file: file.map(|file| file.name.clone()).unwrap_or_default(),
            line: position.map(|position| position.line),
            column: position.map(|position| position.column),
            resource: None,
            path: path.to_string(),
            severity: problem.severity,
            code: problem.kind.code(),
            message: problem.message.clone(),
            help,
        }
    }

    /// Replaces paths from the common root by what a reader knows: the field, behind the resource if it is another one.
    fn relative(&self, text: &str, own: Option<usize>) -> String {
        let mark = format!("{ROOT}[");
        let mut result = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once(&mark) {
            result.push_str(before);
            let number = behind.split_once(']').and_then(|(n, tail)| Some((n.parse::<usize>().ok()?, tail)));
            let Some((n, tail)) = number else {
                result.push_str(&mark);
                rest = behind;
                continue;
            };
            if Some(n) == own {
                rest = tail.strip_prefix('.').unwrap_or(tail);
                continue;
            }
            if let Some(label) = self.documents.get(n).and_then(|document| document.label.as_deref()) {
                result.push_str(label);
            }
            match tail.strip_prefix('.') {
                Some(tail) => {
                    result.push(' ');
                    rest = tail;
                }
                None => rest = tail,
            }
        }
        result.push_str(rest);
        result
    }
}

/// The file itself, or the files in a folder.
fn files_of(input: &FilePath) -> Result<Vec<PathBuf>, LoadError> {
    let metadata = std::fs::metadata(input)
        .map_err(|source| LoadError::Unreadable { path: input.to_owned(), source })?;
    if !metadata.is_dir() {
        return Ok(vec![input.to_owned()]);
    }
    let mut files = Vec::new();
    collect(input, &mut files)?;
    if files.is_empty() {
        return Err(LoadError::EmptyFolder(input.to_owned()));
    }
    Ok(files)
}

/// Which document a path leads into.
fn number(path: &Path) -> Option<usize> {
    match path.segments() {
        [Segment::Field(root), Segment::Index(number), ..] if root == ROOT => Some(*number),
        _ => None,
    }
}

fn value_at<'n>(node: &'n Node<'n>, path: &Path) -> Option<&'n Node<'n>> {
    path.segments().iter().try_fold(node, |node, segment| match segment {
        Segment::Index(index) => node.entries().get(*index),
        Segment::Field(name) => node.get(name),
    })
}

#[cfg(test)]
mod tests;
