//! One Istio resource: its envelope and its `spec`, and the Lists they come in.

use crate::authentication::{PeerAuthentication, RequestAuthentication};
use crate::authorization_policy::AuthorizationPolicy;
use crate::decode::{Context, Decode, DecodeField, Opaque, each_entry, wire};
use crate::destination_rule::DestinationRule;
use crate::gateway::Gateway;
use crate::node::{Node, Value};
use crate::path::Path;
use crate::problem::ProblemKind;
use crate::service_entry::{ServiceEntry, WorkloadEntry};
use crate::virtual_service::VirtualService;
use std::collections::BTreeMap;
use std::fmt;

/// The namespace of a resource that names none.
pub const DEFAULT_NAMESPACE: &str = "default";

wire! {
    /// `metadata` as people write it and as `kubectl get -o json` prints it.
    pub struct ObjectMeta {
        /// Name, unique for its kind in the namespace.
        "name" => name: Option<String>,
        /// Namespace.
        "namespace" => namespace: Option<String>,
        /// Labels of the resource itself.
        "labels" => labels: BTreeMap<String, String>,
        /// Annotations.
        "annotations" => annotations: BTreeMap<String, String>,
        /// When the cluster created it; orders resources of one kind.
        "creationTimestamp" => creation_timestamp: Option<String>,
        /// Kept by the cluster.
        "uid" => uid: Option<Opaque>,
        /// Kept by the cluster.
        "resourceVersion" => resource_version: Option<Opaque>,
        /// Kept by the cluster.
        "generation" => generation: Option<Opaque>,
        /// Kept by the cluster.
        "managedFields" => managed_fields: Option<Opaque>,
        /// Kept by the cluster.
        "ownerReferences" => owner_references: Option<Opaque>,
        /// Kept by the cluster.
        "finalizers" => finalizers: Option<Opaque>,
        /// Kept by the cluster.
        "selfLink" => self_link: Option<Opaque>,
        /// Kept by the cluster.
        "generateName" => generate_name: Option<Opaque>,
        /// Kept by the cluster.
        "deletionTimestamp" => deletion_timestamp: Option<Opaque>,
        /// Kept by the cluster.
        "deletionGracePeriodSeconds" => deletion_grace_period_seconds: Option<Opaque>,
    }
}

/// Which kind, and what it says.
#[derive(Debug, Clone, PartialEq)]
pub enum Spec {
    /// Routing.
    VirtualService(VirtualService),
    /// Authorization.
    AuthorizationPolicy(AuthorizationPolicy),
    /// Listeners at the edge.
    Gateway(Box<Gateway>),
    /// Subsets and traffic policy.
    DestinationRule(Box<DestinationRule>),
    /// Services.
    ServiceEntry(Box<ServiceEntry>),
    /// Instances.
    WorkloadEntry(Box<WorkloadEntry>),
    /// Mutual TLS of workloads.
    PeerAuthentication(PeerAuthentication),
    /// Tokens.
    RequestAuthentication(RequestAuthentication),
    /// A kind of Istio's that says nothing about traffic or access by itself, such as `Telemetry`: by name.
    Other(&'static str),
}

/// Kinds that are known and whose content is not read.
const OTHER_KINDS: &[(&str, &str)] = &[
    ("EnvoyFilter", "networking.istio.io"),
    ("ProxyConfig", "networking.istio.io"),
    ("Sidecar", "networking.istio.io"),
    ("WorkloadGroup", "networking.istio.io"),
    ("Telemetry", "telemetry.istio.io"),
    ("TrafficExtension", "extensions.istio.io"),
    ("WasmPlugin", "extensions.istio.io"),
];

const NETWORKING: (&str, &[&str]) = ("networking.istio.io", &["v1", "v1beta1", "v1alpha3"]);
const SECURITY: (&str, &[&str]) = ("security.istio.io", &["v1", "v1beta1"]);

const READ_KINDS: &[(&str, (&str, &[&str]))] = &[
    ("VirtualService", NETWORKING),
    ("DestinationRule", NETWORKING),
    ("Gateway", NETWORKING),
    ("ServiceEntry", NETWORKING),
    ("WorkloadEntry", NETWORKING),
    ("AuthorizationPolicy", SECURITY),
    ("PeerAuthentication", SECURITY),
    ("RequestAuthentication", SECURITY),
];

/// One resource.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    /// Where it stands in the document it came from; its problems are below `path` + `spec`.
    pub path: Path,
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// What it says.
    pub spec: Spec,
}

impl Resource {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// Its namespace, `default` when it names none.
    #[must_use]
    pub fn namespace(&self) -> &str {
        match self.metadata.namespace.as_deref() {
            None | Some("") => DEFAULT_NAMESPACE,
            Some(namespace) => namespace,
        }
    }

    /// Where its `spec` stands.
    #[must_use]
    pub fn spec_path(&self) -> Path {
        self.path.field("spec")
    }

    /// The key by which Istio orders resources of one kind: oldest first, then by name, then by namespace.
    ///
    /// Resources without a creation timestamp count as equally old, and older than any with one.
    #[must_use]
    pub fn order(&self) -> (&str, &str, &str) {
        (self.metadata.creation_timestamp.as_deref().unwrap_or_default(), self.name(), self.namespace())
    }
}

impl fmt::Display for Resource {
    /// `VirtualService shop/customers`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.spec.kind(), self.namespace(), self.name())
    }
}

impl Spec {
    /// The kind's name.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::VirtualService(_) => "VirtualService",
            Self::AuthorizationPolicy(_) => "AuthorizationPolicy",
            Self::Gateway(_) => "Gateway",
            Self::DestinationRule(_) => "DestinationRule",
            Self::ServiceEntry(_) => "ServiceEntry",
            Self::WorkloadEntry(_) => "WorkloadEntry",
            Self::PeerAuthentication(_) => "PeerAuthentication",
            Self::RequestAuthentication(_) => "RequestAuthentication",
            Self::Other(kind) => kind,
        }
    }

    fn decode(kind: &str, node: &Node, cx: &mut Context) -> Option<Self> {
        Some(match kind {
            "VirtualService" => Self::VirtualService(Decode::decode(node, cx)?),
            "AuthorizationPolicy" => Self::AuthorizationPolicy(Decode::decode(node, cx)?),
            "Gateway" => Self::Gateway(Decode::decode(node, cx)?),
            "DestinationRule" => Self::DestinationRule(Decode::decode(node, cx)?),
            "ServiceEntry" => Self::ServiceEntry(Decode::decode(node, cx)?),
            "WorkloadEntry" => Self::WorkloadEntry(Decode::decode(node, cx)?),
            "PeerAuthentication" => Self::PeerAuthentication(Decode::decode(node, cx)?),
            "RequestAuthentication" => Self::RequestAuthentication(Decode::decode(node, cx)?),
            _ => Self::Other(OTHER_KINDS.iter().find(|(name, _)| *name == kind)?.0),
        })
    }
}

/// Reads a document that is one resource or a `List` of them.
///
/// Whatever is wrong is reported in `cx`; what could be read is returned all the same, so that a caller can go on and report
/// more. A caller that enforces must refuse the document when there are errors.
pub fn read(node: &Node, cx: &mut Context) -> Vec<Resource> {
    if is_list(node) {
        const KNOWN: &[&str] = &["apiVersion", "kind", "metadata", "items"];
        let Some(fields) = cx.open(node, KNOWN) else { return Vec::new() };
        let resources = read_items(fields.get(3), cx);
        cx.close();
        return resources;
    }
    read_resource(node, cx).into_iter().collect()
}

fn is_list(node: &Node) -> bool {
    node.get("kind").and_then(Node::as_str).is_some_and(|kind| kind.ends_with("List"))
}

/// Reads the entries of `items`, at the current place plus `items`.
pub(crate) fn read_items(items: Option<&Node>, cx: &mut Context) -> Vec<Resource> {
    let mut resources = Vec::new();
    cx.in_field("items", |cx| match items.filter(|node| node.value != Value::Null) {
        Some(items) => {
            let _list = each_entry(items, cx, &mut |left, entry, cx| {
                if resources.is_empty() {
                    resources.reserve_exact(left);
                }
                resources.extend(read_resource(entry, cx));
            });
        }
        None => {
            cx.error(ProblemKind::Missing, "missing: a list has `items`");
        }
    });
    resources
}

/// The annotation that has a policy decide for the statistics only.
const DRY_RUN: &str = "istio.io/dry-run";

fn read_resource(node: &Node, cx: &mut Context) -> Option<Resource> {
    const KNOWN: &[&str] = &["apiVersion", "kind", "metadata", "spec", "status"];
    let path = cx.path();
    let fields = cx.open(node, KNOWN)?;
    let api_version: Option<String> = DecodeField::decode_field(fields.get(0), "apiVersion", cx);
    let kind: Option<String> = DecodeField::decode_field(fields.get(1), "kind", cx);
    let metadata: Option<ObjectMeta> = DecodeField::decode_field(fields.get(2), "metadata", cx);
    let metadata = metadata.unwrap_or_default();
    let kind = match kind {
        Some(kind) => kind,
        None => {
            if fields.get(1).is_none_or(|node| node.value == Value::Null) {
                cx.in_field("kind", |cx| {
                    cx.error(ProblemKind::Missing, "missing: expected a kind such as `VirtualService`");
                });
            }
            cx.close();
            return None;
        }
    };
    if !check_kind(&kind, api_version.as_deref(), cx) {
        cx.close();
        return None;
    }
    if metadata.name.as_deref().is_none_or(str::is_empty) {
        cx.in_field("metadata", |cx| {
            cx.in_field("name", |cx| {
                cx.error(ProblemKind::Missing, "missing: every resource has a name").kind
            });
        });
    }
    let is_ours = READ_KINDS.iter().any(|(name, _)| *name == kind);
    if is_ours && kind != "AuthorizationPolicy" && metadata.annotations.contains_key(DRY_RUN) {
        let in_annotation = |cx: &mut Context| {
            let message = format!("expected a dry run of an AuthorizationPolicy only, found one of a {kind}");
            cx.error(ProblemKind::Conflict, message);
        };
        cx.in_field("metadata", |cx| {
            cx.in_field("annotations", |cx| cx.in_field(DRY_RUN, in_annotation));
        });
    }
    let empty = Node::new(Value::Object(Vec::new()));
    // `spec: {}`, `spec:` and no spec at all are the same message to Istio, and for a policy a meaningful one.
    let spec = fields.get(3).filter(|node| node.value != Value::Null).unwrap_or(&empty);
    let spec = cx.in_field("spec", |cx| Spec::decode(&kind, spec, cx));
    cx.close();
    Some(Resource { path, metadata, spec: spec? })
}

/// Whether the kind is known and stands in one of its API versions; says so when not.
fn check_kind(kind: &str, api_version: Option<&str>, cx: &mut Context) -> bool {
    let read = READ_KINDS.iter().find(|(name, _)| *name == kind).map(|(_, api)| *api);
    let other = OTHER_KINDS.iter().find(|(name, _)| *name == kind).map(|(_, group)| *group);
    let Some(group) = read.map(|(group, _)| group).or(other) else {
        let names: Vec<&str> = READ_KINDS.iter().map(|(name, _)| *name).collect();
        cx.in_field("kind", |cx| {
            cx.error(
                ProblemKind::InvalidValue,
                format!("unknown kind `{kind}`: expected one of {}", names.join(", ")),
            );
        });
        return false;
    };
    let versions: &[&str] = read.map_or(&[], |(_, versions)| versions);
    let fits = api_version.and_then(|v| v.split_once('/')).is_some_and(|(found, version)| {
        found == group && (versions.is_empty() || versions.contains(&version))
    });
    if !fits {
        let expected = if versions.is_empty() { "v1".to_owned() } else { versions.join(", ") };
        cx.in_field("apiVersion", |cx| {
            let found = api_version.map_or_else(|| "none".to_owned(), |v| format!("`{v}`"));
            cx.error(
                ProblemKind::InvalidValue,
                format!(
                    "expected `{group}/VERSION` with a version of {expected} for a {kind}, found {found}"
                ),
            );
        });
    }
    true
}

#[cfg(test)]
mod tests;
