//! The plugin configuration of a filter: resources, and the workload that enforces them.

use crate::decode::{Context, DecodeField, wire, wire_enum};
use crate::node::Node;
use crate::path::Path;
use crate::problem::{Problem, ProblemKind, Problems};
use crate::resource::{Resource, read_items};
use std::collections::BTreeMap;

wire! {
    /// The proxy that enforces: what Istio takes from the pod.
    pub struct Workload {
        /// Its namespace.
        "namespace" => namespace: Option<String>,
        /// Its labels.
        "labels" => labels: Option<BTreeMap<String, String>>,
        /// Its service account.
        "serviceAccount" => service_account: Option<String>,
        /// The gateways it carries out, `namespace/name`, or `mesh`.
        "gateways" => gateways: Vec<String>,
        /// The port that its listener serves, as the Gateway or the service numbers it.
        "port" => port: Option<u32>,
        /// Its trust domain.
        "trustDomain" => trust_domain: Option<String>,
        /// Former and foreign names of its trust domain.
        "trustDomainAliases" => trust_domain_aliases: Vec<String>,
        /// The namespace whose policies hold everywhere.
        "rootNamespace" => root_namespace: Option<String>,
    }
}

wire! {
    /// How authorization is carried out.
    pub struct AuthorizationSettings {
        /// Whether a client that is denied is told why, in a header of the answer.
        "explainDenials" => explain_denials: Option<bool>,
        /// Where Envoy's ext_authz filter stands, which asks on behalf of CUSTOM policies.
        "extAuthz" => ext_authz: Option<ExtAuthzSettings>,
    }
}

wire! {
    /// Envoy's ext_authz filter, seen from a filter of ours.
    pub struct ExtAuthzSettings {
        /// Which side of it this filter stands on.
        "position" => position: Option<ExtAuthzPosition>,
        /// The providers that it can ask; only with BEFORE.
        "providers" => providers: Vec<String>,
    }
}

wire_enum! {
    /// Which side of Envoy's ext_authz filter a filter of ours stands on.
    pub enum ExtAuthzPosition {
        /// In front of it: CUSTOM policies decide whether it asks, and nothing else is judged.
        "BEFORE" = 0 => Before,
        /// Behind it: everything is judged but CUSTOM policies.
        "AFTER" = 1 => After,
    }
}

wire! {
    /// What stands behind the router filter.
    pub struct RouterSettings {
        /// The header in which routes of somebody else's expect the name of the cluster.
        "destinationHeader" => destination_header: Option<String>,
        /// Whether routes of somebody else's find the destination by the authority.
        "destinationAuthority" => destination_authority: Option<bool>,
    }
}

wire! {
    /// How faults are injected.
    pub struct FaultSettings {
        /// How many requests may be held at a time, in each worker.
        "maxActiveFaults" => max_active_faults: Option<u32>,
    }
}

/// A filter's configuration, read but not compiled.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PluginConfig {
    /// All resources, also of kinds that a given filter does not enforce.
    pub resources: Vec<Resource>,
    /// The workload, where the configuration names one.
    pub workload: Option<Workload>,
    /// How authorization is carried out.
    pub authz: AuthorizationSettings,
    /// What stands behind the router filter.
    pub router: RouterSettings,
    /// How faults are injected.
    pub fault: FaultSettings,
}

impl PluginConfig {
    /// Reads the JSON of a plugin configuration.
    ///
    /// # Errors
    /// All problems of the text: syntax, unknown fields, wrong types, unknown kinds.
    pub fn from_json(text: &[u8]) -> Result<Self, Problems> {
        let (config, problems) = Self::read_json(text);
        if problems.has_errors() { Err(problems) } else { Ok(config) }
    }

    /// As [`PluginConfig::from_json`], for a caller that goes on to report what is wrong with the values: beside the
    /// problems it gets all that could be read, without resources of which a value could not.
    #[must_use]
    pub fn read_json(text: &[u8]) -> (Self, Problems) {
        let mut problems = Problems::new();
        if text.iter().all(u8::is_ascii_whitespace) {
            problems
                .error(Path::root(), ProblemKind::Missing, "the plugin configuration is empty")
                .help("give it the resources as JSON: {\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [...]}");
            return (Self::default(), problems);
        }
        let node = match Node::from_long_json(text) {
            Ok(node) => node,
            Err(error) => {
                let problem = problems.error(Path::root(), ProblemKind::Syntax, format!("not JSON: {error}"));
                if is_protobuf_struct(text) {
                    problem.help("this looks like a google.protobuf.Struct; wrap the JSON text in a google.protobuf.StringValue");
                }
                return (Self::default(), problems);
            }
        };
        let mut cx = Context::new();
        let mut config = Self::read(&node, &mut cx);
        let problems = cx.into_problems();
        config.resources.retain(|resource| {
            let mut own = problems.iter().filter(|problem| problem.path.is_within(&resource.path));
            own.all(Problem::leaves_values_readable)
        });
        (config, problems)
    }

    fn read(node: &Node, cx: &mut Context) -> Self {
        const KNOWN: &[&str] =
            &["apiVersion", "kind", "metadata", "items", "workload", "authz", "router", "fault"];
        let Some(fields) = cx.open(node, KNOWN) else { return Self::default() };
        match fields.get(1).and_then(Node::as_str) {
            Some(kind) if kind.ends_with("List") => {}
            _ => {
                cx.in_field("kind", |cx| {
                    cx.error(
                        ProblemKind::InvalidValue,
                        "expected `List`: a plugin configuration is a list of resources",
                    )
                    .help("put the resource into `items`");
                });
                cx.close();
                return Self::default();
            }
        }
        let resources = read_items(fields.get(3), cx);
        let workload = DecodeField::decode_field(fields.get(4), "workload", cx);
        let authz: Option<AuthorizationSettings> = DecodeField::decode_field(fields.get(5), "authz", cx);
        let router: Option<RouterSettings> = DecodeField::decode_field(fields.get(6), "router", cx);
        let fault: Option<FaultSettings> = DecodeField::decode_field(fields.get(7), "fault", cx);
        cx.close();
        Self {
            resources,
            workload,
            authz: authz.unwrap_or_default(),
            router: router.unwrap_or_default(),
            fault: fault.unwrap_or_default(),
        }
    }
}

/// Whether this is a `google.protobuf.Struct` in protobuf's wire format. It begins with a line feed, as JSON may: field 1, a map
/// entry. In it follow its length, its key (field 1 too, again with its length) and its value: field 2, a byte that no JSON has.
fn is_protobuf_struct(text: &[u8]) -> bool {
    const KEY: u8 = 0x0a;
    const VALUE: u8 = 0x12;
    let Some((&KEY, entry)) = text.split_first() else { return false };
    let length = entry.iter().take_while(|byte| **byte >= 0x80).count() + 1;
    match entry.get(length..) {
        Some([KEY, size, key @ ..]) => key.get(usize::from(*size)) == Some(&VALUE),
        _ => false,
    }
}
