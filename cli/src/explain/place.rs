//! The way from a rule back to its line.

use mesh_policy_compiler::Sources;
use mesh_policy_istio::path::{Path, Segment};
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::resource::Resource;

/// Where rules stand in the files.
#[derive(Clone, Copy)]
pub struct Places<'s>(pub &'s Sources);

impl Places<'_> {
    /// `shop.yaml:12` for a field of the `spec` of a resource, named `namespace/name`.
    pub fn of(&self, kind: &str, name: &str, field: &Path) -> Option<String> {
        let resource = self.resource(kind, name)?;
        let path = field.segments().iter().fold(resource.spec_path(), |path, segment| match segment {
            Segment::Field(name) => path.field(name),
            Segment::Index(index) => path.index(*index),
        });
        // The sources know the way from a problem to its line; this one is never shown.
        let mut problems = Problems::new();
        let finding = self.0.finding(problems.error(path, ProblemKind::Suspicious, ""));
        Some(match finding.line {
            Some(line) => format!("{}:{line}", finding.file),
            None => finding.file,
        })
    }

    /// The field as it was written, as JSON in one line.
    pub fn written(&self, kind: &str, name: &str, field: &Path) -> Option<String> {
        let spec = self.0.written(self.resource(kind, name)?)?.get("spec")?;
        let value = field.segments().iter().try_fold(spec, |node, segment| match segment {
            Segment::Field(name) => node.get(name),
            Segment::Index(index) => node.entries().get(*index),
        })?;
        serde_json::to_string(value).ok()
    }

    fn resource(&self, kind: &str, name: &str) -> Option<&Resource> {
        let (namespace, name) = name.split_once('/')?;
        let is_meant = |resource: &&Resource| {
            resource.name() == name && resource.namespace() == namespace && resource.spec.kind() == kind
        };
        self.0.resources().iter().find(is_meant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_found_by_its_resource_and_path() {
        let yaml = "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: a
  namespace: shop
spec:
  hosts: [a.com]
  http:
  - redirect: {uri: /a}
  - redirect:
      uri: /b
";
        let sources = Sources::from_text("shop.yaml", yaml);
        let place = |name, index| {
            Places(&sources).of("VirtualService", name, &Path::root().field("http").index(index))
        };
        assert_eq!(place("shop/a", 1).as_deref(), Some("shop.yaml:10"));
        assert_eq!(place("default/a", 1), None);
        let rule = Path::root().field("http").index(0);
        let written = Places(&sources).written("VirtualService", "shop/a", &rule);
        assert_eq!(written.as_deref(), Some(r#"{"redirect":{"uri":"/a"}}"#));
    }
}
