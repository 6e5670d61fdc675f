//! From bytes to documents and resources.

use super::{Document, File, LoadError, ROOT, Sources};
use crate::finding::Finding;
use crate::mesh_config::{self, Placed};
use mesh_policy_istio::decode::{Context, Decode};
use mesh_policy_istio::mesh_config::MeshConfig;
use mesh_policy_istio::node::{Node, Position, Value};
use mesh_policy_istio::path::Path;
use mesh_policy_istio::problem::{Problem, ProblemKind, Problems, Severity};
use mesh_policy_istio::resource::{self, Resource};
use mesh_policy_istio::yaml;
use std::collections::BTreeMap;
use std::path::{Path as FilePath, PathBuf};

impl Sources {
    pub(super) fn add_bytes(&mut self, name: &str, bytes: Vec<u8>) {
        match String::from_utf8(bytes) {
            Ok(text) => self.add_text(name, &text),
            Err(error) => {
                let valid = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
                let line = valid.filter(|byte| **byte == b'\n').count() + 1;
                let position = Position { line: u32::try_from(line).unwrap_or(u32::MAX), column: 1 };
                self.syntax(name, position, "not UTF-8".to_owned(), None);
            }
        }
    }

    pub(super) fn add_text(&mut self, name: &str, text: &str) {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let is_json = FilePath::new(name).extension().is_some_and(|extension| extension == "json");
        // The YAML reader gives positions, but takes more than JSON.
        let json = if is_json {
            match Node::from_json(text.as_bytes()) {
                Ok(node) => Some(node),
                Err(error) => {
                    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
                    let position = Position { line: count(error.line()), column: count(error.column()) };
                    self.syntax(name, position, format!("not JSON: {error}"), None);
                    return;
                }
            }
        } else {
            None
        };
        let documents = match (yaml::read(text), json) {
            (Ok(documents), _) => documents,
            // JSON's escapes for surrogate pairs are no YAML.
            (Err(_), Some(node)) => {
                yaml::Documents { nodes: vec![node.into_owned()], written: BTreeMap::new() }
            }
            (Err(error), None) => {
                self.syntax(name, error.position, error.message, error.help);
                return;
            }
        };
        let file = self.files.len();
        self.files.push(File { name: name.to_owned(), written: documents.written });
        for node in documents.nodes {
            self.add_document(file, node);
        }
    }

    fn syntax(&mut self, name: &str, position: Position, message: String, help: Option<String>) {
        self.files.push(File { name: name.to_owned(), written: BTreeMap::new() });
        self.findings.push(Finding {
            file: name.to_owned(),
            line: Some(position.line),
            column: Some(position.column),
            resource: None,
            path: String::new(),
            severity: Severity::Error,
            code: ProblemKind::Syntax.code(),
            message,
            help,
        });
    }

    /// [`Sources::add_mesh_config`] for a text.
    pub fn add_mesh_config_text(&mut self, name: &str, text: &str) {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let documents = match yaml::read(text) {
            Ok(documents) => documents,
            Err(error) => return self.syntax(name, error.position, error.message, error.help),
        };
        let file = self.files.len();
        self.files.push(File { name: name.to_owned(), written: documents.written });
        let mut nodes = documents.nodes.into_iter();
        let node = match (nodes.next(), nodes.next()) {
            (Some(node), None) => mesh_config::unwrapped(text, node),
            (None, _) => Err((None, "empty: expected a MeshConfig".to_owned())),
            (_, Some(second)) => {
                Err((second.position, "expected one MeshConfig, found another document".to_owned()))
            }
        };
        let node = match node {
            Ok(node) => node,
            Err((position, message)) => {
                self.findings.push(mesh_config::unreadable(name, position, message));
                return;
            }
        };
        let at = Path::root().field(ROOT).index(self.documents.len());
        let mut cx = Context::new();
        let config = MeshConfig::decode(&node, &mut cx);
        let problems = cx.into_problems();
        for problem in &problems {
            let mut finding = self.located(file, &node, &problem.path, problem);
            finding.resource = Some(MESH_CONFIG.to_owned());
            self.findings.push(finding);
        }
        let sound = !problems.has_errors();
        self.documents.push(Document { file, node, label: Some(MESH_CONFIG.to_owned()), sound });
        self.mesh_config = config.filter(|_| sound).map(|config| Placed { config, at });
    }

    /// One resource, or a List, whose entries are resources of their own.
    fn add_document(&mut self, file: usize, node: Node<'static>) {
        let is_list = node.get("kind").and_then(Node::as_str).is_some_and(|kind| kind.ends_with("List"));
        if !is_list {
            self.add_resource(file, node);
            return;
        }
        let mut cx = Context::new();
        let entries = match cx.open(&node, &["apiVersion", "kind", "metadata", "items"]) {
            Some(fields) => fields.get(3),
            None => None,
        };
        match entries.map(|node| &node.value) {
            Some(Value::List(_)) => {}
            Some(Value::Null) | None => {
                cx.in_field("items", |cx| {
                    cx.error(ProblemKind::Missing, "missing: a list has `items`");
                });
            }
            Some(_) => {
                if let Some(entries) = entries {
                    cx.in_field("items", |cx| cx.wrong_type("a list", entries));
                }
            }
        }
        for problem in &cx.into_problems() {
            let finding = self.located(file, &node, &problem.path, problem);
            self.findings.push(finding);
        }
        for entry in entries.map(Node::entries).unwrap_or_default() {
            self.add_resource(file, entry.clone().into_owned());
        }
    }

    fn add_resource(&mut self, file: usize, node: Node<'static>) {
        let number = self.documents.len();
        let mut cx = Context::new();
        let read = resource::read(&node, &mut cx);
        let label = read.first().map(ToString::to_string).or_else(|| label(&node));
        let problems = cx.into_problems();
        let sound = problems.iter().all(Problem::leaves_values_readable);
        for problem in &problems {
            let mut finding = self.located(file, &node, &problem.path, problem);
            finding.resource.clone_from(&label);
            self.findings.push(finding);
        }
        for mut resource in read {
            resource.path = Path::root().field(ROOT).index(number);
            self.resources.push(resource);
        }
        self.documents.push(Document { file, node, label, sound });
    }

    /// In a cluster the second of two resources would replace the first; between files nobody knows which is meant.
    pub(super) fn report_duplicates(&mut self) {
        let mut seen: BTreeMap<String, &Resource> = BTreeMap::new();
        let mut problems = Problems::new();
        for resource in &self.resources {
            let key = resource.to_string();
            if let Some(first) = seen.get(&key) {
                problems.error(
                    resource.path.field("metadata").field("name"),
                    ProblemKind::Conflict,
                    format!("{key} is defined twice: here and at {}", self.place(first)),
                );
            } else {
                seen.insert(key, resource);
            }
        }
        let findings = self.findings_of(&problems);
        self.findings.extend(findings);
    }
}

/// What a mesh configuration is called in findings.
const MESH_CONFIG: &str = "MeshConfig";

/// Kind and name of what could not be read as a resource.
fn label(node: &Node) -> Option<String> {
    let kind = node.get("kind").and_then(Node::as_str)?;
    let metadata = node.get("metadata")?;
    let name = metadata.get("name").and_then(Node::as_str)?;
    let namespace = metadata.get("namespace").and_then(Node::as_str).unwrap_or(resource::DEFAULT_NAMESPACE);
    Some(format!("{kind} {namespace}/{name}"))
}

/// All files below `folder` that can hold resources, sorted; hidden ones are left out.
pub(super) fn collect(folder: &FilePath, files: &mut Vec<PathBuf>) -> Result<(), LoadError> {
    let unreadable = |source| LoadError::Unreadable { path: folder.to_owned(), source };
    let mut entries = std::fs::read_dir(folder)
        .and_then(|entries| {
            entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, std::io::Error>>()
        })
        .map_err(unreadable)?;
    entries.sort();
    for path in entries {
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if hidden {
            continue;
        }
        // A link into a folder is not followed: it may lead back up.
        let metadata = std::fs::symlink_metadata(&path)
            .map_err(|source| LoadError::Unreadable { path: path.clone(), source })?;
        let holds = path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json");
        if metadata.is_dir() {
            collect(&path, files)?;
        } else if holds {
            files.push(path);
        }
    }
    Ok(())
}
